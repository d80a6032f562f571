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

-- ---- what a flow keeps between its runs ------------------------------------------------------------------------
-- A `kept` is what stands when a run has ended: { state = { [key] = { value =, expires = ms } }, timers = { ... } }.

local kept_after = setmetatable({}, { __mode = "k" })     -- run -> kept

local function copy(list)
  local other = {}
  for name, value in pairs(list) do other[name] = value end
  return other
end

local function state_at(kept, now)
  local state = {}
  for key, entry in pairs(kept.state) do
    if not entry.expires or entry.expires > now then state[key] = entry.value end
  end
  return state
end

--- What the run set, cancelled and wound up, laid over what stood before.
local function keep(before, result, event, now)
  local kept = { state = copy(before.state), timers = copy(before.timers) }
  for _, set in ipairs(result.state) do
    kept.state[set.key] = not set.deleted and
      { value = set.value, expires = set.expires_in > 0 and now + set.expires_in or nil } or nil
  end
  for _, timer in ipairs(result.timers) do
    kept.timers[timer.name] = not timer.cancelled and {
      name = timer.name, step = timer.step, data = timer.data, due = now + timer["in"],
      cause = timer.cause, event = event, id = result.id, key = result.key,
    } or nil
  end
  return kept
end

local function by_due(a, b)
  if a.due ~= b.due then return a.due < b.due end
  return a.name < b.name
end

local function play(flow, event, before, now, continue, reads)
  local sent = copy(event)
  sent.now, sent.state, sent.continue = now, state_at(before, now), continue
  local result = native.decode(native.run(flow.folder, native.encode(sent), answerer(reads or {})))
  local run = present(result)
  local kept = run.ok and keep(before, result, event, now) or { state = before.state, timers = before.timers }
  kept_after[run] = kept
  kept.event, kept.now, kept.id, kept.key = event, now, result.id, result.key
  run.state, run.timers = state_at(kept, now), {}
  for _, timer in pairs(kept.timers) do
    run.timers[#run.timers + 1] = { name = timer.name, step = timer.step, data = timer.data, due = timer.due }
  end
  table.sort(run.timers, by_due)
  return run
end

local function find_timer(kept, name)
  local names = {}
  for _, timer in pairs(kept.timers) do
    if timer.name == name or timer.step == name then return timer end
    names[#names + 1] = timer.name
  end
  error(("no timer %q waits; there are: %s"):format(name, #names > 0 and table.concat(names, ", ") or "none"), 3)
end

--- Runs one event through the flow.  The event is a sample, or a table like one: { body =, headers =, properties =,
--- received = }; `now()` answers `received`.  `options.reads` answers look-ups; `options.state` is what the flow has
--- kept, or `options.after` an earlier run, with whose state and timers this one goes on:
---
---     flow:run(event, { reads = { ["alerts.get"] = function(fields) return { status = "open" } end } })
---     flow:run(spec.event "offline-cleared", { after = raised })
---@param event headgate.SampleEvent
---@param options headgate.SpecOptions?
---@return headgate.SpecRun
function Flow:run(event, options)
  options = options or {}
  event = copy(event)
  event.received = event.received or os.time() * 1000
  local before = { state = {}, timers = {} }
  for key, value in pairs(options.state or {}) do before.state[key] = { value = value } end
  if options.after then before = kept_after[options.after] end
  return play(self, event, before, event.received, nil, options.reads)
end

--- The timer of that name (or the one that leads to that step) is due, after `run`: what comes of it.  `now()` is the
--- moment at which it is due, or `options.late_by` ms later.
---
---     local later = flow:fire(raised, "still_offline")
---@param run headgate.SpecRun
---@param name string
---@param options { reads: headgate.Reads?, late_by: integer? }?
---@return headgate.SpecRun
function Flow:fire(run, name, options)
  options = options or {}
  local kept = kept_after[run]
  local timer = find_timer(kept, name)
  local before = { state = kept.state, timers = copy(kept.timers) }
  before.timers[timer.name] = nil
  local late_by = options.late_by or 0
  return play(self, timer.event, before, timer.due + late_by, {
    step = timer.step, cause = timer.cause, id = timer.id, key = timer.key, late_by = late_by,
    timer = { name = timer.name, data = timer.data },
  }, options.reads)
end

--- The effect at this position of `run.effects` ended, and asked by `next` to be told: what comes of it.  `result` has
--- its outcome, "delivered" where nothing else is said, and what else event.result shall say.
---
---     local told = flow:result(run, 1, { outcome = "refused", text = "no such address" })
---@param run headgate.SpecRun
---@param position integer
---@param result table?
---@param options headgate.FireOptions?
---@return headgate.SpecRun
function Flow:result(run, position, result, options)
  local kept, effect = kept_after[run], run.effects[position]
  if not effect then error(("the run asked for %d effects"):format(#run.effects), 2) end
  if not effect.next then error(("effect %d did not ask for its outcome: it has no next"):format(position), 2) end
  local told = change({ outcome = "delivered", id = effect.id, connection = effect.connection, verb = effect.verb,
    text = "", attempts = 1, at = kept.now }, result or {})
  return play(self, kept.event, kept, kept.now, {
    step = effect.next, cause = effect.cause, id = kept.id, key = kept.key, result = told,
  }, options and options.reads)
end

return spec
