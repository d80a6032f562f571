--- OpsGenie, whole: every verb, its reads and heartbeats, and the same flow before and after a company moves to Jira.
local kit = require "kit"

--- One flow that does what its events say: {id, key, verb, fields} or {id, key, ask, fields}.
local doer = [[
local step = {}
function step.act(event)
  if event.body.verb then alerts[event.body.verb](event.body.fields) end
end
function step.look(event)
  if event.body.ask then
    log.info("answer " .. event.id .. " " .. json.encode(alerts[event.body.ask](event.body.fields) or json.null))
  end
  return true
end
return step
]]
local manifest = [[
event: {id: body.id, key: body.key}
uses: [alerts]
steps:
  - do: act
  - ask: look
]]

local count = 0

local function world_with(connection, sandbox)
  local world = kit.world { sandbox = sandbox }
  local settings = world.config.connections.alerts
  for name, value in pairs(connection or {}) do settings[name] = value end
  world:flow("doer", { lua = doer, manifest = manifest })
  world:start()
  world:open "doer"
  return world
end

local function publish(world, body)
  count = count + 1
  body.id = "E-" .. count
  body.key = body.key or "K"
  world:publish({ body }, "do")
  return body.id
end

--- Sends the verbs one after another, each waited for; they are all of one key, so they keep their order anyway.
local function act(world, verb, fields) publish(world, { verb = verb, fields = fields }) end

--- What a look-up answers: the flow says it in the log.
local function ask(world, query, fields)
  local mark = "answer " .. publish(world, { ask = query, fields = fields }) .. " "
  local answer
  kit.wait("the answer of " .. query, 15, function()
    for line in world:log():gmatch "[^\n]+" do
      local text = line:find(mark, 1, true) and kit.json.decode(line).text
      if text then answer = text:sub(select(2, text:find(mark, 1, true)) + 1) end
    end
    return answer
  end)
  return kit.json.decode(answer)
end

local function delivered(world, many)
  world:lane_counts("alerts", { asked = many, delivered = many, held = 0 }, 30)
end

local jira = { dialect = "jsm-ops", user = "nina@example.com", team = "T1",
  ids = { night = "team-1", storage = "escalation-1", ["ada@example.com"] = "user-1" } }

local function moved(world)
  local settings = world.config.connections.alerts
  for name, value in pairs(jira) do settings[name] = value end
  settings.api = world.opsgenie .. "/jsm/ops/api/sandbox"
end

--- Everything that a flow can do to an alert; what it must look like in the end, whatever the dialect.
local function live_a_life(world, before)
  act(world, "create", { alias = "a/1", message = "disk full", tags = { "storage", "old" }, details = { site = "N" },
    responders = { { type = "team", name = "night" } } })
  act(world, "acknowledge", { alias = "a/1", note = "I look" })
  act(world, "unacknowledge", { alias = "a/1" })
  act(world, "acknowledge", { alias = "a/1" })
  act(world, "add_note", { alias = "a/1", note = "a note" })
  act(world, "add_tags", { alias = "a/1", tags = { "new" } })
  act(world, "remove_tags", { alias = "a/1", tags = { "old" } })
  act(world, "add_details", { alias = "a/1", details = { rack = 7 } })
  act(world, "remove_details", { alias = "a/1", keys = { "site" } })
  act(world, "set_priority", { alias = "a/1", priority = "P1" })
  act(world, "set_message", { alias = "a/1", message = "disk fuller" })
  act(world, "set_description", { alias = "a/1", description = "very full" })
  act(world, "assign", { alias = "a/1", owner = "ada@example.com" })
  act(world, "escalate", { alias = "a/1", escalation = "storage" })
  act(world, "add_responder", { alias = "a/1", responder = { type = "team", name = "night" } })
  act(world, "snooze", { alias = "a/1", duration = "1h" })
  delivered(world, before + 16)
  local alert = ask(world, "get", { alias = "a/1" })
  assert.equal("disk fuller", alert.message)
  assert.equal("very full", alert.description)
  assert.equal("P1", alert.priority)
  assert.same({ "storage", "new" }, alert.tags)
  assert.same({ rack = "7" }, alert.details)
  assert.is_true(alert.acknowledged)
  assert.is_true(alert.snoozed)
  assert.is_string(alert.lastOccurredAt)
  assert.equal(alert.id, ask(world, "get", { id = alert.id }).id)
  assert.equal(1, #ask(world, "list", { query = "status:open" }))
  act(world, "close", { id = alert.id, note = "over" })
  delivered(world, before + 17)
  act(world, "close", { alias = "a/1" })                     -- is closed already: that is what was wanted
  delivered(world, before + 18)
  local seen = world:alerts()[1]
  assert.equal("closed", seen.status)
  assert.equal(1, seen.escalations)
  local notes = {}
  for i, note in ipairs(seen.notes) do notes[i] = note.note end
  assert.same({ "I look", "a note", "over" }, notes)
  return seen
end

describe("a flow of OpsGenie's own API", function()
  after_each(kit.tidy)

  it("can do and look up everything", function()
    local world = world_with()
    local alert = live_a_life(world, 0)
    assert.equal("ada@example.com", alert.owner)
    assert.equal("night", alert.responders[1].name)
    assert.equal(0, ask(world, "count", { query = "status:open" }))
    assert.equal("closed", ask(world, "get", { tiny = alert.tinyId }).status)
    world:settle()
  end)

  it("pings a heartbeat, and sees that it is well", function()
    local world = world_with()
    kit.run { "curl", "-sS", "-X", "POST", world.opsgenie .. "/v2/heartbeats", "-H", "Authorization: GenieKey sandbox",
      "-H", "Content-Type: application/json",
      "-d", '{"name":"nightly job","interval":10,"intervalUnit":"minutes","enabled":true}' }
    assert.is_nil(ask(world, "heartbeat", { name = "nightly job" }).lastPingTime)
    act(world, "ping", { name = "nightly job" })
    delivered(world, 1)
    local beat = ask(world, "heartbeat", { name = "nightly job" })
    assert.is_string(beat.lastPingTime)
    assert.is_false(beat.expired)
    assert.equal(kit.json.null, ask(world, "heartbeat", { name = "nobody" }))
    world:settle()
  end)

  it("sends only the last of what replaces itself, when several have waited", function()
    local world = world_with()
    act(world, "create", { alias = "a", message = "m" })
    delivered(world, 1)
    world:opsgenie_fault { match = { method = "PUT" }, status = 503, body = "busy", times = -1 }
    act(world, "set_priority", { alias = "a", priority = "P1" })
    act(world, "set_priority", { alias = "a", priority = "P2" })
    act(world, "set_priority", { alias = "a", priority = "P4" })
    world:lane_counts("alerts", { asked = 4, delivered = 1 }, 15)
    world:opsgenie_heals()
    local status = world:settle(30)
    assert.equal("P4", world:alerts()[1].priority)
    local lane = world:lane "alerts"
    assert.is_true(lane.superseded >= 1, kit.json.encode(lane))
    assert.equal(4, lane.delivered + lane.superseded)
    assert.truthy(status)
  end)

  it("adds a note once, though the answer was a failure after it was taken", function()
    local world = world_with()
    act(world, "create", { alias = "a", message = "m" })
    delivered(world, 1)
    world:opsgenie_fault { match = { method = "POST" }, status = 500, body = '{"message":"no"}', accept = true }
    act(world, "add_note", { alias = "a", note = "once" })
    delivered(world, 2)
    assert.equal(1, #world:alerts()[1].notes)
    world:opsgenie_fault { match = { method = "POST" }, status = 500,
      body = '{"message":"no","requestId":"00000000-0000-4000-8000-000000000001"}' }
    act(world, "add_note", { alias = "a", note = "twice" })    -- was not taken: sent again
    delivered(world, 3)
    assert.equal(2, #world:alerts()[1].notes)
    world:settle()
  end)

  it("survives answers that come late", function()
    local world = world_with()
    world:opsgenie_fault { match = { method = "POST" }, delay_ms = 1500 }
    world:opsgenie_fault { match = { method = "GET" }, delay_ms = 1500 }
    act(world, "create", { alias = "a", message = "m" })
    act(world, "close", { alias = "a" })
    delivered(world, 2)
    world:settle()
    assert.equal("closed", world:alerts()[1].status)
    assert.equal(1, world:alerts()[1].creates)
  end)
end)

describe("after the move to Jira Service Management", function()
  after_each(kit.tidy)

  it("the same flow does the same by jsm-ops", function()
    local world = kit.world()
    moved(world)
    world:flow("doer", { lua = doer, manifest = manifest })
    world:start()
    world:open "doer"
    local alert = live_a_life(world, 0)
    assert.equal("user-1", alert.owner)
    assert.equal("team-1", alert.responders[1].id)
    world:settle()
  end)

  it("what was still waiting goes to the new place", function()
    local world = world_with()
    act(world, "create", { alias = "a", message = "m", priority = "P2" })
    delivered(world, 1)
    world:opsgenie_fault { status = 503, body = "busy", times = -1 }
    act(world, "set_priority", { alias = "a", priority = "P1" })
    act(world, "close", { alias = "a", note = "over" })
    world:lane_counts("alerts", { asked = 3, delivered = 1 }, 15)
    world:stop()
    world:opsgenie_heals()
    moved(world)
    world:start()
    delivered(world, 3)
    local alert = world:alerts()[1]
    assert.equal("P1", alert.priority)
    assert.equal("closed", alert.status)
    assert.equal(1, #alert.notes)
    world:settle()
  end)

  it("jsm-events opens and closes, and says what it cannot", function()
    local world = kit.world()
    world.config.connections.alerts.dialect = "jsm-events"
    world.config.connections.alerts.api = world.opsgenie .. "/jsm/ops/integration"
    world:flow("doer", { lua = doer, manifest = manifest })
    world:start()
    world:open "doer"
    act(world, "create", { alias = "a", message = "m" })
    act(world, "add_note", { alias = "a", note = "n" })
    act(world, "close", { alias = "a" })
    act(world, "close", { alias = "a" })
    delivered(world, 4)
    assert.equal("closed", world:alerts()[1].status)
    publish(world, { key = "L", verb = "set_priority", fields = { alias = "a", priority = "P1" } })
    publish(world, { key = "M", ask = "get", fields = { alias = "a" } })
    local held = world:await_held(2)
    table.sort(held, function(a, b) return a.key < b.key end)
    assert.truthy(held[1].reason:find("knows only create, close, acknowledge and add_note", 1, true))
    assert.truthy(held[2].reason:find("can look up nothing", 1, true))
  end)

  it("a dialect that lacks what it needs is refused when the daemon starts, in words", function()
    local world = kit.world()
    world.config.connections.alerts.dialect = "jsm-ops"
    world:configure()
    local _, complaint, code = world:headgate("run")
    assert.equal(78, code)
    assert.truthy(complaint:find("needs `user`", 1, true), complaint)
  end)
end)
