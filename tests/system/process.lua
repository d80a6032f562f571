--- Processes of the tests: started, watched, ended by their id.
---
---     local daemon = process.start("headgate", { "build/headgate", "run" }, { log = folder .. "/log" })
---     daemon:kill "TERM"
---     assert.equal(0, daemon:ended(5))
---
--- Plain Lua can neither fork nor wait, so a shell stands between: it notes the id, waits, notes how it ended.
local system = require "system"

local process = {}
local Process = {}
Process.__index = Process

local running = {}                    -- those that nobody has seen end, newest last

--- Deadlines are for a quick build; a sanitizer's takes several times as long.
process.patience = tonumber(os.getenv "HEADGATE_TEST_PATIENCE") or 1

function process.quote(text)
  return "'" .. tostring(text):gsub("'", [['\'']]) .. "'"
end

function process.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

function process.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

--- Until `condition` answers something true, which is returned; after `seconds` an error says what was waited for, and
--- with what words the condition said no (its second value).
function process.wait(what, seconds, condition)
  local deadline = system.monotime() + seconds * process.patience
  local pause = 0.005
  while true do
    local value, why = condition()
    if value then return value end
    if system.monotime() > deadline then
      error(("waited %g s in vain: %s%s"):format(seconds * process.patience, what, why and ": " .. why or ""), 2)
    end
    system.sleep(pause)
    pause = math.min(pause * 1.5, 0.1)
  end
end

local function command(argv)
  local words = {}
  for i, word in ipairs(argv) do words[i] = process.quote(word) end
  return table.concat(words, " ")
end

local function variables(env)
  local words = {}
  for name, value in pairs(env or {}) do words[#words + 1] = name .. "=" .. process.quote(value) end
  return #words > 0 and "env " .. table.concat(words, " ") .. " " or ""
end

--- Runs it to its end: what it printed, what it complained, its exit code.
function process.run(argv, options)
  options = options or {}
  local errors, input = os.tmpname(), "/dev/null"
  if options.input then
    input = os.tmpname()
    process.write(input, options.input)
  end
  local pipe = io.popen(("%s%s <%s 2>%s"):format(variables(options.env), command(argv), input, errors), "r")
  local output = pipe:read "a"
  local _, _, code = pipe:close()
  local complaint = process.read(errors)
  os.remove(errors)
  if options.input then os.remove(input) end
  return output, complaint, code
end

--- What the shell between does: starts it, notes its id, waits, notes how it ended; each note in one step, by `mv`.
local between = [[{
  %s <%s >>%s 2>>%s &
  echo $! >NOTES.new; mv NOTES.new NOTES.pid
  wait $!
  echo $? >NOTES.new; mv NOTES.new NOTES.rc
} >/dev/null 2>&1 &]]

--- Starts it; `options`: log (a file for all it prints), out (for its stdout alone), input (a file), env.
function process.start(name, argv, options)
  local self = setmetatable({ name = name, notes = os.tmpname() }, Process)
  local script = between:format(variables(options.env) .. command(argv), process.quote(options.input or "/dev/null"),
    process.quote(options.out or options.log), process.quote(options.log))
  assert(os.execute((script:gsub("NOTES", self.notes))))
  self.id = process.wait("the id of " .. name, 10, function()
    return tonumber(process.read(self.notes .. ".pid") or "")
  end)
  running[#running + 1] = self
  return self
end

local function forget(self)
  for i, each in ipairs(running) do
    if each == self then table.remove(running, i) break end
  end
  for _, ending in ipairs { "", ".pid", ".rc" } do os.remove(self.notes .. ending) end
end

--- The exit code (128 + signal), or nil while it runs.
function Process:code()
  if self.exit == nil then
    self.exit = tonumber(process.read(self.notes .. ".rc") or "")
    if self.exit ~= nil then forget(self) end
  end
  return self.exit
end

function Process:is_running()
  return self:code() == nil
end

function Process:kill(signal)
  if self:is_running() then os.execute(("kill -s %s %d 2>/dev/null"):format(signal or "TERM", self.id)) end
end

--- Waits for its end; the exit code.
function Process:ended(seconds)
  process.wait(self.name .. " to end", seconds or 15, function() return not self:is_running() end)
  return self.exit
end

--- Ends whatever still runs, newest first.  Those that a TERM does not end within their time are killed, and named.
function process.end_all()
  local stubborn = {}
  for i = #running, 1, -1 do
    local each = running[i]
    each:kill "TERM"
    if not pcall(each.ended, each, 15) then
      stubborn[#stubborn + 1] = each.name
      each:kill "KILL"
      each:ended(5)
    end
  end
  return stubborn
end

return process
