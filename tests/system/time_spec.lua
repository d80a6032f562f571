--- Time and memory under fire: SIGKILL while timers are due, outcomes come back and moments pass.  What a flow counts
--- in its state is committed with its runs, so the state itself tells how often each of them ran.
---
--- HEADGATE_TEST_SEED repeats a run's moments (not what the machine does in between).
local kit = require "kit"
local system = require "system"

local EVENTS, KILLS = 300, 10

local STEPS = [[
event: {id: body.id, key: body.key}
uses: [alerts]
steps:
  - do: wait
    then: stop
  - do: fire
    then: stop
  - do: told
]]

--- event -> timer -> alert -> its outcome -> another alert: each of the three runs counts itself.
local LUA = [[
local step = {}
local function count(name) state.set(name, (state.get(name) or 0) + 1) end

function step.wait(event)
  timer.after(event.body.wait, "fire", { number = event.body.number }, { name = "t-" .. event.body.number })
  count "waits"
end

function step.fire(event)
  assert(event.timer.data.number == event.body.number and event.late_by >= 0)
  alerts.create { alias = event.id, message = "due", next = "told" }
  count "fires"
end

function step.told(event)
  assert(event.result.outcome == "delivered", event.result.outcome)
  alerts.create { alias = event.id .. "-told", message = "told" }
  count "tells"
end

return step
]]

local function seed()
  local number = tonumber(os.getenv "HEADGATE_TEST_SEED") or os.time() % 1000000
  io.stderr:write(("# the moments of the kills come from HEADGATE_TEST_SEED=%d\n"):format(number))
  math.randomseed(number)
end

local function kill_at_random(world, most)
  for _ = 1, KILLS do
    world:begin()
    local deadline = system.monotime() + 0.1 + math.random() * most
    while system.monotime() < deadline do
      assert(world.daemon:is_running(), "the daemon ended by itself")
      local output = world:headgate("status", "--json")
      if output:sub(1, 1) == "{" then world:balances(kit.json.decode(output)) end
    end
    world:kill()
  end
end

local function state_of(world, flow, ...)
  local state = {}
  for _, entry in ipairs(world:ask("state", flow, "--json", "--limit", "1000", ...).state) do
    state[entry.key] = entry.value
  end
  return state
end

describe("a daemon that is killed", function()
  after_each(kit.tidy)

  it("loses no timer and no outcome, and none of them runs twice", function()
    seed()
    local world = kit.world()
    world:flow("waits", { manifest = STEPS, lua = LUA })
    world:start()
    world:open "waits"
    local bodies = {}
    for i = 1, EVENTS do
      bodies[i] = { id = "W-" .. i, key = "K-" .. i % 50, number = i, wait = 200 + i * 30 }
    end
    world:publish(bodies, "any")
    world:kill()
    kill_at_random(world, 0.9)
    world:start()
    world:counts("waits", { finished = 3 * EVENTS, waiting = 0, held = 0, expired = 0, timers = 0 }, 60)
    world:settle(60)
    assert.same({ waits = EVENTS, fires = EVENTS, tells = EVENTS }, state_of(world, "waits"))
    assert.equal(2 * EVENTS, world:lane("alerts").asked)
    local aliases = {}
    for _, alert in ipairs(world:alerts()) do aliases[alert.alias] = (aliases[alert.alias] or 0) + 1 end
    for i = 1, EVENTS do
      assert.equal(1, aliases["W-" .. i])
      assert.equal(1, aliases[("W-%d-told"):format(i)])
    end
    world:balances()
  end)

  it("runs each moment of a schedule once, or knows that it was missed", function()
    seed()
    local world = kit.world()
    world.config.connections.clock = { adapter = "timer" }
    world:flow("ticks", { yaml = [[
flow: ticks
title: Counts the seconds
owner: nobody
on: {clock: {every: 1s}}
event: {id: body.moment, key: properties.every}
uses: [alerts]
]], lua = [[return { run = function(event)
  local seen = state.get(event.body.moment)
  assert(not seen, "it ran before")
  state.set(event.body.moment, { time = event.time, missed = event.body.missed })
  alerts.create { alias = event.body.moment, message = "tick" }
end }]] })
    world:start()
    world:open "ticks"
    world:kill()
    kill_at_random(world, 1.2)
    world:start()
    local before = world:flow_status("ticks").finished
    kit.wait("another moment", 10, function() return world:flow_status("ticks").finished > before + 1 end)
    world:close "ticks"
    world:settle(30)

    local moments = {}
    for _, moment in pairs(state_of(world, "ticks")) do moments[#moments + 1] = moment end
    table.sort(moments, function(a, b) return a.time < b.time end)
    assert(#moments > KILLS / 2, "only " .. #moments .. " moments ran")
    for i = 2, #moments do
      local passed = (moments[i].time - moments[i - 1].time) // 1000
      assert(passed == 1 + moments[i].missed, ("%d moments passed, %d are said to be missed")
        :format(passed, moments[i].missed))
    end
    local flow = world:flow_status "ticks"
    assert.equal(#moments, flow.finished)
    assert.equal(0, flow.held)
    assert.equal(#moments, world:lane("alerts").asked)
    assert.equal(#moments, #world:alerts())
    world:balances()
  end)

  it("shows what it keeps, which timers wait, and what began a run", function()
    local world = kit.world()
    world:flow("waits", { manifest = STEPS, lua = LUA })
    world:start()
    world:open "waits"
    world:publish({ { id = "A", key = "C-1", number = 7, wait = 3600000 } }, "any")
    world:counts("waits", { finished = 1, timers = 1 })
    assert.matches("waits: 1 timer, the next in 59m", world:must "status")
    local timer = world:ask("timers", "waits", "--json").timers[1]
    assert.equal("t-7", timer.name)
    assert.equal("fire", timer.step)
    assert.equal("C-1", timer.key)
    assert.equal(7, timer.data.number)
    assert.matches("t%-7 +C%-1 +fire", world:must "timers")
    assert.matches("waits +%- +1", world:must("state", "waits", "wai"))
    assert.matches("nothing is kept", world:must("state", "waits", "none"))
    assert.matches("timer t%-7 in 1h00m: fire", world:must("trace", "C-1"))
    local _, complaint = world:headgate("state", "nobody")
    assert.matches("there is no flow nobody", complaint)
    world:publish({ { id = "B", key = "C-2", number = 8, wait = 100 } }, "any")
    world:counts("waits", { finished = 4, timers = 1 })
    local trace = world:must("trace", "C-2")
    assert.matches("because of timer t%-8, %d+ ms late", trace)
    assert.matches("because of alerts.create delivered", trace)
  end)
end)
