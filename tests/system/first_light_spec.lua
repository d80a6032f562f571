--- First light: anomalies come out of RabbitMQ, pass two flows, and arrive as alerts and mails; nothing is lost.
local kit = require "kit"
local anomaly = kit.anomaly

--- What was written at OpsGenie, in order: "create", "close", ...
local function writes(world)
  local list = {}
  for _, request in ipairs(world:requests()) do
    if request.method ~= "GET" then list[#list + 1] = request.path:match "/([a-z]+)%?" or "create" end
  end
  return list
end

describe("an anomaly", function()
  after_each(kit.tidy)

  it("becomes one alert, and one mail for each contact in their language", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    local report = anomaly.new { site = { contacts = {
      { name = "Anna Winkler", email = "anna@example.com", language = "de-AT" },
      { name = "Søren Holm", email = "soren@example.com", language = "da" },
    } } }
    world:publish { report }
    world:counts("alert-operators", { received = 1, finished = 1 })
    world:counts("mail-contacts", { received = 1, finished = 1 })
    world:settle()

    local alerts, mails = world:alerts(), world:mails()
    assert.equal(1, #alerts)
    assert.equal(anomaly.alias(report), alerts[1].alias)
    assert.equal("P2", alerts[1].priority)
    assert.equal(2, #mails)
    local subjects = {}
    for _, mail in ipairs(mails) do subjects[mail.to[1]] = mail.subject end
    assert.equal("Havnegade Garage: Ladecontroller CTRL-00042 ist offline", subjects["anna@example.com"])
    assert.equal("Havnegade Garage: ladecontroller CTRL-00042 er offline", subjects["soren@example.com"])
    assert.equal(0, world:mailbox_summary().violations)
  end)

  it("is brought up to date and closed under its alias, in order", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open "alert-operators"
    world:publish {
      anomaly.new { state = "raised" }, anomaly.new { state = "updated", severity = 5 },
      anomaly.new { state = "cleared" },
    }
    world:counts("alert-operators", { finished = 3 })
    world:settle()

    assert.same({ "create", "create", "message", "priority", "close" }, writes(world))
    local alerts = world:alerts()
    assert.equal(1, #alerts)
    assert.equal("closed", alerts[1].status)
    assert.equal("P1", alerts[1].priority)
  end)

  it("is run once, however often it comes", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    local report = anomaly.new()
    world:publish { report, report, report }
    world:publish { report }
    for _, flow in ipairs { "alert-operators", "mail-contacts" } do
      world:counts(flow, { received = 4, finished = 1, skipped = { ["repeat"] = 3 } })
    end
    world:settle()
    assert.equal(1, world:opsgenie_summary().creates)
    assert.equal(1, #world:mails())
  end)

  it("that comes too late is counted as expired by the flow that says so, and by no other", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:publish { anomaly.new { at = anomaly.moment(3 * 3600) }, anomaly.new { at = anomaly.moment(600) } }
    world:counts("mail-contacts", { received = 2, finished = 1, expired = 1 })
    world:counts("alert-operators", { received = 2, finished = 2, expired = 0 })
    world:settle()
    assert.equal(1, #world:mails())
  end)

  it("can be followed by its controller: events, decisions with reasons, effects, deliveries", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:publish { anomaly.new { anomaly_id = "AN-T1", controller_id = "CTRL-7" } }
    world:counts("alert-operators", { finished = 1 })
    world:counts("mail-contacts", { finished = 1 })
    world:settle()

    local runs = {}
    for _, run in ipairs(world:ask("trace", "CTRL-7", "--json").runs) do runs[run.flow] = run end
    local run = runs["alert-operators"]
    assert.equal("AN-T1", run.event)
    assert.equal("finished", run.outcome)
    assert.same({ step = "is_worth_an_alert", answer = true, why = "major, at a gold site" }, run.steps[2])
    assert.equal("alerts", run.effects[1].connection)
    assert.equal("delivered", run.effects[1].state)
    assert.equal(1, run.effects[1].attempts)
    local mail = runs["mail-contacts"].effects[1]
    assert.equal("mail.send", mail.connection .. "." .. mail.verb)
    assert.matches("yes: major, at a gold site", world:must("trace", "CTRL-7"), 1, true)
    assert.equal(1, select(3, world:headgate("trace", "CTRL-nobody")))
  end)
end)

describe("a message", function()
  after_each(kit.tidy)

  local forward = [[return { run = function(event)
    broker.publish {
      exchange = event.body.to, key = "out." .. event.properties.type, body = { id = event.id, big = event.body.big },
      headers = event.headers, correlation_id = event.properties.message_id,
    }
  end }]]

  local function relay()
    local world = kit.world()
    world.out = world.exchange .. ".out"
    world.sink = world.exchange .. ".sink"
    world.broker:exchange(world.out)
    world.broker:rabbit("declare-queue", world.sink)
    world.broker:rabbit("bind", world.sink, world.out, "out.#")
    world:flow("relay", { manifest = "uses: [broker]", lua = forward })
    world:start()
    world:open "relay"
    return world
  end

  it("shows its headers and properties to a flow, and keeps them on the way out", function()
    local world = relay()
    local headers = {
      traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      ["cloudEvents:type"] = "com.example.order", ["cloudEvents:source"] = "/shop",
      deep = { flag = true, list = { 1, "two" } },
    }
    world:publish({ ('{"id":"M-1","to":"%s","big":9007199254740993}'):format(world.out) }, "order",
      { headers = kit.json.encode(headers), type = "order.placed", ["message-id"] = "msg-1" })
    local line = world.broker:rabbit("consume", world.sink, "--count", "1", "--timeout-ms", "15000")
    local message = kit.json.decode(line)
    assert.equal("out.order.placed", message.routing_key)
    assert.equal("msg-1", message.properties.correlation_id)
    assert.equal(2, message.properties.delivery_mode)
    assert.same(headers, message.headers)
    assert.equal('{"big":9007199254740993,"id":"M-1"}', message.body)
    world:settle()
    world:lane_counts("broker", { asked = 1, delivered = 1 })
  end)

  it("that no queue wants is held with its reason, not lost, and goes out once it can be routed", function()
    local world = relay()
    world:publish({ ('{"id":"M-1","to":"%s.void"}'):format(world.exchange) }, "order", { type = "a" })
    local nowhere = world:await_held(1)[1]
    assert.equal("never", nowhere.verdict)
    assert.matches("void", nowhere.reason)

    world.broker:exchange(world.exchange .. ".void")
    world:must("held", "retry", ("%d"):format(nowhere.held))
    local unrouted = world:await_held(1)[1]
    assert.matches("rout", unrouted.reason:lower())
    assert.equal(nowhere.effect_id, unrouted.effect_id)

    world.broker:rabbit("bind", world.sink, world.exchange .. ".void", "#")
    world:must("held", "retry", ("%d"):format(unrouted.held))
    local line = world.broker:rabbit("consume", world.sink, "--count", "1", "--timeout-ms", "15000")
    assert.equal(nowhere.effect_id, kit.json.decode(line).properties.message_id)
    world:settle()
    world:lane_counts("broker", { asked = 1, delivered = 1, held = 0 })
  end)
end)
