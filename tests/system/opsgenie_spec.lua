--- OpsGenie, whole: every verb, its reads and heartbeats, the same flow before and after a company moves to Jira, and
--- what it tells us by webhook.
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
    act(world, "ping", { name = "nobody" })
    act(world, "ping", { name = "nobody" })
    delivered(world, 3)
    local _, warnings = world:log():gsub("heartbeat nobody is pinged, but there is no such heartbeat", "")
    assert.equal(1, warnings)
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

--- Says what it was told, and leaves a note at the alert: which is told again, and must not come in.
local watcher = [[
local flow = {}
function flow.run(event)
  local said = event.properties
  log.info(("told %s of %s at %s: %s"):format(said.action, tostring(said.alias), tostring(event.time),
    json.encode(event.body)))
  alerts.add_note { id = said.alert_id, note = "heard of " .. said.action }
end
return flow
]]
local watching = [[
flow: watcher
title: Hears what happens to alerts
owner: nobody
on: {alerts: {actions: [%s]}}
event: {id: properties.message_id, key: properties.alert_id}
uses: [alerts]
]]
local secret = "hush-hush-0123456789"

--- A world where the simulator tells the flow `watcher` of these actions; `hook`: how it does so.
local function watched(actions, hook, stays_off)
  local world = kit.world()
  local alerts = world.config.connections.alerts
  alerts.webhook_verify, alerts.webhook_header, alerts.webhook_secret = "token", "X-Hook-Secret", secret
  world.config.webhooks = { listen = "127.0.0.1:0" }
  world:flow("watcher", { yaml = watching:format(actions), lua = watcher })
  world:start()
  local port = kit.wait("the port of the webhooks", 10, function()
    return world:log():match "webhooks: listening on 127.0.0.1, port (%d+)"
  end)
  if not stays_off then world:open "watcher" end
  world.hook = ("http://127.0.0.1:%s/hooks/alerts/watcher"):format(port)
  hook = hook or {}
  hook.url, hook.headers = world.hook, hook.headers or { ["X-Hook-Secret"] = secret }
  kit.run { "curl", "-sS", "-X", "POST", world.opsgenie .. "/sandbox/opsgenie/webhooks", "-d", kit.json.encode(hook) }
  return world
end

--- Somebody does something in OpsGenie itself.
local function person(world, path, body)
  body.user = "nina"
  local said = kit.run { "curl", "-sS", "-X", "POST", world.opsgenie .. "/v2/alerts" .. path, "-H",
    "Authorization: GenieKey sandbox", "-H", "Content-Type: application/json", "-d", kit.json.encode(body) }
  assert.truthy(said:find("will be processed", 1, true), said)
end

local function told(world)
  local list = {}
  for line in world:log():gmatch "[^\n]+" do
    local text = line:find("told ", 1, true) and kit.json.decode(line).text
    list[#list + 1] = text and text:match "told (%S+ of %S+)"
  end
  return list
end

describe("what OpsGenie tells", function()
  after_each(kit.tidy)

  it("comes in as events, once each, in order, though it is told twice; and our own doings do not", function()
    local world = watched("Create, Acknowledge, AddNote, Escalate, Close", { ["repeat"] = 1 })
    person(world, "", { alias = "a", message = "m" })
    person(world, "/a/acknowledge?identifierType=alias", {})
    person(world, "/a/tags?identifierType=alias", { tags = { "x" } })      -- not asked for
    person(world, "/a/notes?identifierType=alias", { note = "I look" })
    person(world, "/a/escalate?identifierType=alias", { escalation = { name = "storage" } })
    person(world, "/a/close?identifierType=alias", {})
    world:counts("watcher", { received = 10, finished = 5, skipped = { ["repeat"] = 5 } })
    world:lane_counts("alerts", { delivered = 5 })
    world:settle()
    assert.same({ "Create of a", "Acknowledge of a", "AddNote of a", "Escalate of nil", "Close of a" }, told(world))
    assert.equal(6, #world:alerts()[1].notes)
    assert.is_nil(world:log():find(secret, 1, true))
  end)

  it("is understood in either style of time, and when the order is reversed", function()
    local world = watched("Acknowledge, Close", { reverse = true, style = "ms" })
    person(world, "", { alias = "a", message = "m" })
    person(world, "/a/acknowledge?identifierType=alias", {})
    person(world, "/a/close?identifierType=alias", {})
    world:counts("watcher", { received = 2, finished = 2 })
    world:settle()
    local list = told(world)
    table.sort(list)
    assert.same({ "Acknowledge of a", "Close of a" }, list)
  end)

  it("is answered 503 while the gate is closed, and comes again when it is open", function()
    local world = watched("Create", { retries = 100 }, true)
    person(world, "", { alias = "a", message = "m" })
    kit.wait("it to be told in vain", 10, function()
      local hooks = kit.json.decode((kit.run { "curl", "-sS", world.opsgenie .. "/sandbox/opsgenie/webhooks" }))
      return hooks[1].sent >= 2 and hooks[1].taken == 0, kit.json.encode(hooks)
    end)
    world:open "watcher"
    world:counts("watcher", { received = 1, finished = 1 })
    world:settle()
  end)

  it("is believed only with the secret", function()
    local world = watched("Create", { headers = { ["X-Hook-Secret"] = "guessed" } })
    person(world, "", { alias = "a", message = "m" })
    kit.wait("it to be told in vain", 10, function()
      local hooks = kit.json.decode((kit.run { "curl", "-sS", world.opsgenie .. "/sandbox/opsgenie/webhooks" }))
      return hooks[1].sent == 1 and hooks[1].taken == 0
    end)
    local function post(body)
      return (kit.run { "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", world.hook, "-H",
        "X-Hook-Secret: " .. secret, "-H", "Content-Type: application/json", "-d", body })
    end
    assert.equal("400", post '{"action":')
    assert.equal("400", post '{"alert":{}}')
    assert.equal("200", post '{"action":"Of our own making","alert":{"alertId":"a7"}}')
    world:counts("watcher", { received = 0 })
    assert.equal("200", post '{"action":"create","alert":{"alertId":"a7","alias":"a"}}')
    world:counts("watcher", { received = 1, finished = 1 })
  end)

  it("needs a secret and a listener, and a flow says so when it lacks one", function()
    local world = kit.world()
    world.config.webhooks = { listen = "127.0.0.1:0" }
    world:flow("watcher", { yaml = watching:format "Create, Acknowlege", lua = watcher })
    world:start()
    world:must("on", "watcher", "--why", "the test begins")
    world:says "webhook_verify"
  end)
end)
