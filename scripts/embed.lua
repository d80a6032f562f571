-- embed.lua OUT FILE... - writes Lua sources as a C file, so that the program carries them (see core/lua/scripts.h)
local out = assert(io.open(arg[1], "w"))
out:write('#include "core/lua/scripts.h"\n\nconst struct script scripts[] = {\n')
for i = 2, #arg do
  local file = assert(io.open(arg[i], "rb"))
  local source = file:read("a")
  file:close()
  -- A string literal a line: compilers are asked for no more than short ones.
  local lines = {}
  for line in source:gmatch("[^\n]*\n?") do
    if line ~= "" then
      lines[#lines + 1] = '     "' .. line:gsub('[\\"?]', "\\%0"):gsub("[^\32-\126]", function(c)
        return ("\\%03o"):format(c:byte())
      end) .. '"'
    end
  end
  out:write(('    {"%s",\n%s,\n     %d},\n'):format(arg[i]:match("([^/]+)%.lua$"), table.concat(lines, "\n"), #source))
end
out:write("    {NULL, NULL, 0}};\n")
out:close()
