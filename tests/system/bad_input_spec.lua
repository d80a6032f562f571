--- Bad input: whatever comes, the reason is said clearly, other flows go on, nothing is lost.
local kit = require "kit"
local anomaly = kit.anomaly

local publish = [[return { run = function(event)
  broker.publish { exchange = "", key = event.body.to, body = { id = event.id } }
end }]]

--- A flow "fragile" that is given something bad, and a flow "bystander" beside it that must not notice.
local function pair(fragile, options)
  local world = kit.world(options)
  world.sink = world.exchange .. ".sink"
  world.broker:rabbit("declare-queue", world.sink)
  world:flow("bystander", { keys = "good.#", manifest = "uses: [broker]", lua = publish })
  fragile.keys = "bad.#"
  world:flow("fragile", fragile)
  world:start()
  world:open("bystander", "fragile")
  return world
end

local good = 0
local function bystander_goes_on(world)
  good = good + 1
  local before = world:flow_status("bystander").finished
  world:publish({ { id = "G-" .. good, to = world.sink } }, "good.one")
  world:counts("bystander", { finished = before + 1 })
end

--- Gives the fragile flow something; it must be held for a reason that has these words.
local function is_held_for(world, words, give)
  bystander_goes_on(world)
  local before = #world:held()
  give()
  local list = world:await_held(before + 1)
  local held = list[#list]
  assert.equal("fragile", held.flow)
  assert.equal("event", held.kind)
  assert.truthy(held.reason:find(words, 1, true), held.reason)
  assert.truthy(world:must("held"):find(words, 1, true))
  bystander_goes_on(world)
  world:settle()
  return held
end

describe("an event that cannot be read", function()
  after_each(kit.tidy)

  it("is held: malformed, without an id, of the wrong content type, not UTF-8, empty", function()
    local world = pair { manifest = "uses: [broker]", lua = publish }
    is_held_for(world, "the body is not good JSON", function() world:publish({ '{"id":' }, "bad.one") end)
    is_held_for(world, "the event has no id: body.id is missing", function() world:publish({ "{}" }, "bad.one") end)
    is_held_for(world, "the content type is text/xml", function()
      world:publish({ "<id>1</id>" }, "bad.one", { ["content-type"] = "text/xml" })
    end)
    is_held_for(world, "this is not UTF-8", function() world:publish({ '{"id":"\xff\xfe"}' }, "bad.one") end)
    is_held_for(world, "the body is empty", function() world:publish({ "" }, "bad.one") end)
    world:counts("fragile", { received = 5, finished = 0, held = 5 })
  end)

  it("is held with its size when it has 10 MB, and the daemon does not grow by it for ever", function()
    local world = pair { manifest = "uses: [broker]", lua = publish }
    local body = '{"id":"BIG","text":"' .. ("x"):rep(10 * 1024 * 1024) .. '"}'
    local held = is_held_for(world, ("the body has %d bytes; the flow takes at most 1048576"):format(#body), function()
      world:publish({ body }, "bad.one", { raw = true })
    end)
    assert.equal(body, world:ask("held", "show", ("%d"):format(held.held), "--json").event.body)
  end)
end)

describe("a flow that goes wrong", function()
  after_each(kit.tidy)

  it("in an endless loop that catches errors is stopped, and its event held with the line", function()
    local world = pair { lua = [[return { run = function()
      while true do pcall(function() while true do end end) end
    end }]] }
    local held = is_held_for(world, "budget", function() world:publish({ { id = "L-1" } }, "bad.loop") end)
    assert.truthy(world:ask("held", "show", ("%d"):format(held.held), "--json").detail:find("flow.lua:", 1, true))
  end)

  it("by eating memory is stopped at its ceiling", function()
    local world = pair { lua = [[return { run = function()
      local hoard = "x"
      while true do hoard = hoard .. hoard end
    end }]] }
    is_held_for(world, "memory", function() world:publish({ { id = "M-1" } }, "bad.memory") end)
  end)

  it("by an error leaves no effect of the run behind", function()
    local world = pair { manifest = "uses: [broker, mail]", lua = [[return { run = function(event)
      mail.send { to = "ada@example.net", subject = "Half", text = "done" }
      error("the second half is missing")
    end }]] }
    is_held_for(world, "the second half is missing", function() world:publish({ { id = "E-1" } }, "bad.error") end)
    assert.equal(0, #world:mails())
    world:lane_counts("mail", { asked = 0 })
  end)

  it("by a template without that language is told which there are", function()
    local world = pair { manifest = "uses: [mail]", lua = [[return { run = function(event)
      mail.send { to = "ada@example.net", template = "offline", language = event.body.language, data = {} }
    end }]], files = {
      ["templates/offline.de.txt"] = "Subject: Aus\n\nAus.\n",
      ["templates/offline.en.txt"] = "Subject: Off\n\nOff.\n",
    } }
    is_held_for(world, "template `offline` has no language `fr`: there are de, en", function()
      world:publish({ { id = "T-1", language = "fr" } }, "bad.language")
    end)
    assert.equal(0, #world:mails())
  end)

  it("by an address with a line break writes to nobody", function()
    local world = pair { manifest = "uses: [mail]", lua = [[return { run = function(event)
      mail.send { to = event.body.to, subject = "Off", text = "It is off." }
    end }]] }
    is_held_for(world, "it has a line break or another control character", function()
      world:publish({ { id = "A-1", to = "ada@example.net\r\nBcc: all@example.net" } }, "bad.address")
    end)
    assert.equal(0, #world:mails())
    world:publish({ { id = "A-2", to = "ada@example.net" } }, "bad.address")
    world:counts("fragile", { finished = 1 })
    world:settle()
    assert.equal(1, #world:mails())
  end)
end)

describe("a far side that goes wrong", function()
  after_each(kit.tidy)

  it("is a broker that is killed: the log says so, and what was confirmed comes when it is back, once", function()
    local world = pair({ manifest = "uses: [broker]", lua = publish }, { own_broker = true })
    local bodies = {}
    for i = 1, 200 do bodies[i] = { id = "B-" .. i, to = world.sink } end
    world:publish(bodies, "bad.one")
    world.broker:kill()
    world:says("connection broker: consume: ")
    world:says '"level":"warning"'
    world.broker:restart()
    world:counts("fragile", { finished = 200 }, 40)
    world:lane_counts("broker", { delivered = 200, held = 0 }, 30)
    bystander_goes_on(world)
    world:settle(30)
    -- What was sent and not confirmed when the broker died was sent again, with the same message id: more than 200 lie
    -- there.
    local all = tostring(world.broker:count(world.sink))
    local ids, lines = {}, world.broker:rabbit("consume", world.sink, "--count", all, "--timeout-ms", "5000")
    for line in lines:gmatch "[^\n]+" do
      local message = kit.json.decode(line)
      ids[kit.json.decode(message.body).id] = message.properties.message_id
    end
    for i = 1, 200 do assert.truthy(ids["B-" .. i], "B-" .. i .. " is missing") end
  end)

  it("is an OpsGenie that answers HTML: alerts wait and say why, mails go on, all arrives once it is well", function()
    local world = kit.world()
    world:story()
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:opsgenie_fault { status = 200, body = "<html>maintenance</html>", content_type = "text/html", times = -1 }
    world:publish { anomaly.new { controller_id = "CTRL-1" }, anomaly.new { controller_id = "CTRL-2" } }
    world:lane_counts("mail", { delivered = 2 })
    kit.wait("the lane to say why", 15, function()
      local lane = world:lane "alerts"
      return lane.text:find("HTML", 1, true), lane.state .. ": " .. lane.text
    end)
    world:lane_counts("alerts", { delivered = 0, waiting = 2 })
    world:balances()
    world:opsgenie_heals()
    world:lane_counts("alerts", { delivered = 2, held = 0 }, 40)
    world:settle()
    assert.equal(2, #world:alerts())
  end)

  it("is a relay that hangs after the final dot: that mail is held as unknown, the others arrive", function()
    local world = kit.world()
    world:story()
    world.config.connections.mail.answer_timeout = "1s"
    world:start()
    world:open "mail-contacts"
    world:mail_fault { phase = "dot", to = "hangs@example.com", hang = true }
    local reports = {}
    for i, name in ipairs { "ada", "hangs", "grace" } do
      reports[i] = anomaly.new { controller_id = "CTRL-" .. i, site = { contacts = {
        { name = name, email = name .. "@example.com", language = "en" } } } }
    end
    world:publish(reports)
    local held = world:await_held(1, 30)[1]
    assert.equal("unknown", held.verdict)
    assert.equal("CTRL-2", held.key)
    world:lane_counts("mail", { delivered = 2, held = 1 })
    world:settle()
    assert.equal(1, world:recipients()["ada@example.com"].mails)
    assert.equal(1, world:recipients()["grace@example.com"].mails)
  end)
end)
