-- luacheck: each file may use what its world has, and no more.
std = "lua54"
max_line_length = 120
exclude_files = { "build/" }

-- The world of flows and rules: Lua's pure libraries and `require`; see flows/README.md.
stds.pure = { read_globals = {
  "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset",
  "require", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall", "math", "string", "table", "utf8",
} }
-- What flows have besides; `alerts`, `broker` and `mail` are the connections of this repository's flows.
stds.flow = { read_globals = { "json", "log", "now", "alerts", "broker", "mail" } }
stds.spec = { read_globals = { "headgate_native" } }

files["flows/*/flow.lua"] = { std = "pure+flow" }
files["scripts/rules/*.lua"] = { std = "pure" }
files["scripts/rules/*_spec.lua"] = { std = "lua54+busted" }
files["scripts/headgate/first.lua"] = { std = "pure" }
files["scripts/headgate/need.lua"] = { std = "pure" }
files["scripts/headgate/spec.lua"] = { std = "lua54+spec" }
files["scripts/headgate/types.lua"] = { ignore = { "1", "2" } }   -- declares what others provide
files["**/*_spec.lua"] = { std = "lua54+busted" }
