--- A daemon on a machine that fails on request: the numbers of tests/preload/faulty.c, written while it runs.
---
---     local machine = faulty.machine(world)        -- the world's next daemons run on it
---     machine:set { no_space = 1 }
---     machine:get().commits
local process = require "process"

local faulty = {}
local Machine = {}
Machine.__index = Machine

local names = { "commits", "kill_before", "kill_after", "no_space", "clock_ms" }
local build = os.getenv "BUILD" or "build"

function faulty.machine(world)
  local self = setmetatable({ path = world.folder .. "/faulty" }, Machine)
  process.write(self.path, string.pack("<i8i8i8i8i8", 0, 0, 0, 0, 0))
  world.env = {
    HEADGATE_FAULTY = self.path, LD_PRELOAD = build .. "/tools/faulty.so",
    ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "") .. ":verify_asan_link_order=0",
  }
  return self
end

function Machine:get()
  local values, numbers = {}, { string.unpack("<i8i8i8i8i8", process.read(self.path)) }
  for i, name in ipairs(names) do values[name] = numbers[i] end
  return values
end

--- Only the named numbers are written: the daemon counts in the others.
function Machine:set(wanted)
  local file = assert(io.open(self.path, "r+b"))
  for i, name in ipairs(names) do
    if wanted[name] then
      file:seek("set", (i - 1) * 8)
      file:write(string.pack("<i8", wanted[name]))
    end
  end
  assert(file:close())
end

return faulty
