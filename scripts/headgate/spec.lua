--- The spec kit: what a flow's spec sees of a run.
---
---     local spec = require "headgate.spec"
---     local flow = spec.flow()
---
---     it("opens one alert", function()
---       local run = flow:run(spec.event "offline-raised")
---       assert.same({ "alerts.create" }, run.asked)
---     end)
---
--- A spec is a busted file and may use all of Lua.  The flow that it looks at runs in the world that the daemon
--- gives it, with the same limits, through `headgate_native`; this file only makes that pleasant to read.
--- Nothing is delivered, and nothing is read from outside: what a flow looks up, the spec answers.

local native = assert(rawget(_G, "headgate_native"),
  "headgate.spec needs the engine: run this spec by `headgate test FLOW`")

local spec = {}
local Flow = {}
Flow.__index = Flow

spec.null = native.null             --- JSON's null
spec.list = native.array            --- spec.list {} is [], where {} alone would be an object

--- The folder of the spec file that is calling: a spec finds what stands beside it.
local function spec_folder()
  for level = 3, math.huge do
    local info = debug.getinfo(level, "S")
    if info == nil then error("headgate.spec: call this from a file NAME_spec.lua", 3) end
    local path = info.source:match "^@(.*_spec%.lua)$"
    if path then return path:match "^(.*)/[^/]*$" or "." end
  end
end

local function read(path)
  local file, reason = io.open(path, "rb")
  if not file then error("headgate.spec: no sample event: " .. reason, 3) end
  local text = file:read "a"
  file:close()
  return text
end

--- Lists are replaced as a whole, tables with names are followed down.
local function change(value, changes)
  for name, new in pairs(changes) do
    local is_names = type(new) == "table" and new[1] == nil and getmetatable(new) == nil
    if is_names and type(value[name]) == "table" then
      change(value[name], new)
    else
      value[name] = new
    end
  end
  return value
end

--- The sample event events/NAME.json beside the spec, fresh each time; `changes` are laid over it.
---
---     spec.event("offline-raised", { body = { severity = 5 } })
---@param name string
---@param changes table?
---@return headgate.SampleEvent
function spec.event(name, changes)
  local path = ("%s/events/%s.json"):format(spec_folder(), name)
  return change(native.decode(read(path)), changes or {})
end

--- The flow whose folder the spec is in.
---@return headgate.SpecFlow
function spec.flow()
  return setmetatable({ folder = spec_folder() }, Flow)
end

--- A rule by its name, as a flow gets it from `require "rules.NAME"`.
---@param name string
---@return fun(...): ...
function spec.rule(name)
  return native.rule(name)
end

--- What answers the flow's look-ups: the spec's functions, and a clear error for a look-up it did not think of.
local function answerer(reads)
  return function(connection, query, fields)
    local name = connection .. "." .. query
    local answer = reads[name]
    if not answer then
      error(("the flow asks %s %s: give the run reads = { [%q] = function(fields) ... end }")
        :format(name, fields, name), 0)
    end
    local value = answer(native.decode(fields))
    return native.encode(value == nil and native.null or value)
  end
end

--- Whoever looks at the effects of a run that failed wants to know why it failed.
local function guard_failed(run)
  return setmetatable(run, { __index = function(_, name)
    if name == "effects" or name == "asked" then error("the run failed: " .. run.error, 2) end
  end })
end

local function present(result)
  local run = {
    ok = result.ok, error = result.error, skipped = result.skipped ~= "" and result.skipped or nil,
    decisions = {}, decided = {}, why = {},
  }
  for _, passed in ipairs(result.decisions) do
    if passed.kind == "ask" then
      local why = passed.why ~= "" and passed.why or nil
      run.decisions[#run.decisions + 1] = { step = passed.step, answer = passed.answer, why = why }
      run.decided[passed.step], run.why[passed.step] = passed.answer, why
    end
  end
  if not run.ok then return guard_failed(run) end

  local last = result.decisions[#result.decisions]
  run.stopped_at = last and last.kind == "ask" and last.step or nil
  run.effects, run.asked = result.effects, {}
  for position, effect in ipairs(result.effects) do
    run.asked[position] = effect.connection .. "." .. effect.verb
  end
  return run
end

--- Runs one event through the flow.  The event is a sample, or a table like one: { body =, headers =, properties =,
--- received = }; `now()` answers `received`.  `options.reads` answers look-ups:
---
---     flow:run(event, { reads = { ["alerts.get"] = function(fields) return { status = "open" } end } })
---@param event headgate.SampleEvent
---@param options { reads: headgate.Reads }?
---@return headgate.SpecRun
function Flow:run(event, options)
  local reads = options and options.reads or {}
  return present(native.decode(native.run(self.folder, native.encode(event), answerer(reads))))
end

return spec
