--- Lanes: what the far side does to a delivery, and what we make of it; the order of each key is kept.
local kit = require "kit"
local anomaly = kit.anomaly

local function story(options)
  local world = kit.world(options)
  world:story()
  return world
end

local function started(options)
  local world = story(options)
  world:start()
  world:open("alert-operators", "mail-contacts")
  return world
end

local function report(controller, state, name)
  return anomaly.new { controller_id = controller, state = state, site = { contacts = {
    { name = "Contact", language = "en", email = (name or controller:lower()) .. "@example.com" } } } }
end

local function subjects(world, to)
  local list = {}
  for i, mail in ipairs(world:mails(to)) do
    list[i] = mail.subject:match "back online" or mail.subject:match "offline"
  end
  return list
end

local function effect_of(world, key, flow)
  for _, run in ipairs(world:ask("trace", key, "--json").runs) do
    if run.flow == flow then return run.effects[1] end
  end
end

describe("OpsGenie", function()
  after_each(kit.tidy)

  it("that fails for a while gets each alert in the end, once", function()
    local world = started()
    world:opsgenie_fault { match = { method = "POST" }, status = 500, body = '{"message":"no"}', times = 3 }
    world:publish { report("CTRL-1", "raised"), report("CTRL-2", "raised") }
    world:lane_counts("alerts", { asked = 2, delivered = 2 }, 30)
    world:settle()
    assert.equal(2, #world:alerts())
    assert.is_true(effect_of(world, "CTRL-1", "alert-operators").attempts
      + effect_of(world, "CTRL-2", "alert-operators").attempts >= 5)
  end)

  it("that wants less gets nothing until its time is over", function()
    local world = started()
    world:opsgenie_fault { match = { method = "POST" }, status = 429, body = '{"message":"slow down"}',
      headers = { ["Retry-After"] = "2" } }
    world:publish { report("CTRL-1", "raised") }
    kit.wait("the lane to pause", 10, function()
      local lane = world:lane "alerts"
      return lane.state == "paused" and lane.resumes_in_ms > 0, lane.state
    end)
    world:publish { report("CTRL-2", "raised") }
    world:lane_counts("alerts", { asked = 2, delivered = 2 }, 20)
    local posts = world:requests "POST"
    assert.equal(429, posts[1].status)
    local gap = tonumber(posts[2].time:match ":(%d%d%.%d+)Z") - tonumber(posts[1].time:match ":(%d%d%.%d+)Z")
    assert.is_true(gap % 60 >= 1.9, "it was asked again after " .. gap .. " s")
    world:settle()
    assert.equal(2, #world:alerts())
  end)

  it("that takes an alert and never answers is asked again, and has one alert", function()
    local world = started()
    world:opsgenie_fault { match = { method = "POST" }, cut = "after" }
    world:publish { report("CTRL-1", "raised") }
    world:lane_counts("alerts", { asked = 1, delivered = 1, held = 0 }, 20)
    world:settle()
    assert.equal(1, #world:alerts())
    assert.equal(2, #world:requests "POST")
  end)

  it("that cuts before it takes anything is asked again", function()
    local world = started()
    world:opsgenie_fault { match = { method = "POST" }, cut = "before" }
    world:publish { report("CTRL-1", "raised") }
    world:lane_counts("alerts", { asked = 1, delivered = 1, held = 0 }, 20)
    world:settle()
    assert.equal(1, #world:alerts())
  end)

  it("that refuses one gets the next of that controller", function()
    local world = started()
    world:opsgenie_fault { match = { method = "POST" }, status = 422, body = '{"message":"no such priority"}' }
    world:publish { report("CTRL-1", "raised"), report("CTRL-1", "updated") }
    local held = world:await_held(1)[1]
    assert.equal("never", held.verdict)
    assert.matches("no such priority", held.reason)
    world:lane_counts("alerts", { asked = 4, delivered = 3, held = 1 })
    world:settle()
  end)
end)

describe("a relay", function()
  after_each(kit.tidy)

  it("that puts a recipient off delays that controller alone, in order, and each mail comes once", function()
    local world = story()
    world.config.connections.mail.retry_after = "300ms"
    world:start()
    world:open "mail-contacts"
    world:mail_fault { phase = "rcpt", to = "ctrl-1@example.com", reply = "450 4.2.0 greylisted", times = 5 }
    world:publish {
      report("CTRL-1", "raised"), report("CTRL-1", "cleared"), report("CTRL-2", "raised"), report("CTRL-2", "cleared"),
    }
    world:lane_counts("mail", { asked = 4, delivered = 4 }, 30)
    world:settle()
    assert.same({ "offline", "back online" }, subjects(world, "ctrl-1@example.com"))
    assert.same({ "offline", "back online" }, subjects(world, "ctrl-2@example.com"))
    local mails = world:mails()
    assert.equal("ctrl-2@example.com", mails[1].to[1])
    assert.equal("ctrl-2@example.com", mails[2].to[1])
    assert.equal(6, effect_of(world, "CTRL-1", "mail-contacts").attempts)
  end)

  it("that says no for good has that mail held with its words, and gets the others", function()
    local world = started()
    world:mail_fault { phase = "rcpt", to = "ctrl-1@example.com", reply = "550 5.1.1 nobody of that name here" }
    world:publish { report("CTRL-1", "raised"), report("CTRL-2", "raised") }
    local held = world:await_held(1)[1]
    assert.equal("never", held.verdict)
    assert.matches("nobody of that name here", held.reason)
    world:lane_counts("mail", { asked = 2, delivered = 1, held = 1 })
    world:settle()
  end)

  it("that is cut before the final dot gets the mail again, and has it once", function()
    local world = started()
    world:mail_fault { phase = "data", cut = "before" }
    world:publish { report("CTRL-1", "raised") }
    world:lane_counts("mail", { asked = 1, delivered = 1, held = 0 }, 20)
    world:settle()
    assert.equal(1, #world:mails())
  end)

  it("that is cut after the final dot leaves a mail of which nobody knows: held as unknown, not sent again", function()
    local world = started()
    world:mail_fault { phase = "dot", cut = "after" }
    world:publish { report("CTRL-1", "raised"), report("CTRL-1", "cleared") }
    local held = world:await_held(1)[1]
    assert.equal("unknown", held.verdict)
    local known = world:ask("held", "show", ("%d"):format(held.held), "--json")
    assert.is_true(known.bytes_total > 100)
    assert.equal(known.bytes_total, known.bytes_sent)
    assert.equal("the message", known.phase)
    assert.matches("^354 ", known.last_reply)
    assert.matches("bytes", world:must("held", "show", ("%d"):format(held.held)))
    world:lane_counts("mail", { asked = 2, delivered = 1, held = 1 })
    world:settle()
    assert.equal(0, world:mailbox_summary().repeats)
    assert.same({ "offline", "back online" }, subjects(world, "ctrl-1@example.com"))
  end)

  it("may be told to get it again: when_unknown: retry", function()
    local world = story()
    world.config.connections.mail.when_unknown = "retry"
    world:start()
    world:open "mail-contacts"
    world:mail_fault { phase = "dot", cut = "after" }
    world:publish { report("CTRL-1", "raised") }
    world:lane_counts("mail", { asked = 1, delivered = 1, held = 0 }, 20)
    world:settle()
    assert.equal(1, world:mailbox_summary().repeats)
  end)
end)

describe("a daemon that is told to stop", function()
  after_each(kit.tidy)

  it("while it delivers waits for the answers: nothing is unknown, nothing is sent twice", function()
    local world = started()
    world:mail_fault { phase = "dot", delay_ms = 1500, times = 4 }
    local reports = {}
    for i = 1, 20 do reports[i] = report("CTRL-" .. i, "raised") end
    world:publish(reports)
    kit.wait("mails to be at their final dot", 15, function() return world:mailbox_summary().faults_used >= 2 end)
    world:stop(20)
    local arrived = #world:mails()
    assert.is_true(arrived >= 2)
    world:mail_heals()
    world:start()
    world:lane_counts("mail", { asked = 20, delivered = 20, held = 0 }, 30)
    world:lane_counts("alerts", { asked = 20, delivered = 20, held = 0 }, 30)
    world:settle()
    assert.equal(20, #world:mails())
    assert.equal(0, world:mailbox_summary().repeats)
    assert.equal(20, #world:alerts())
  end)
end)

-- ---- what a lane allows itself, and how it is shown -----------------------------------------------------

local function lane_of(world, name) return world:ask("lanes", name, "--json") end

local function mailer(world, name, manifest)
  return world:flow(name, { keys = name, manifest = "uses: [mail]\nevent: {id: body.id, key: body.id}\n"
      .. "limits: {per_recipient: none}\n" .. manifest,
    lua = [[
      local step = {}
      function step.run(event)
        mail.send { to = event.body.to, subject = event.body.id, text = "x" }
      end
      return step]] })
end

local function post(world, name, from, to)
  local bodies = {}
  for i = from, to do bodies[#bodies + 1] = { id = name .. i, to = name .. "@example.com" } end
  world:publish(bodies, name)
end

describe("a lane", function()
  after_each(kit.tidy)

  it("whose far side fails opens its breaker, says so, and goes on after a probe", function()
    local world = started()
    world:opsgenie_fault { match = { method = "POST" }, status = 500, body = '{"message":"no"}', times = 1000 }
    local reports = {}
    for i = 1, 10 do reports[i] = report("CTRL-" .. i, "raised") end
    world:publish(reports)
    kit.wait("the breaker to open", 15, function() return lane_of(world, "alerts").breaker.state == "open" end)
    assert.equal("open", world:lane("alerts").breaker)
    assert.matches("LANE +STATE +BREAKER", world:must "lanes")
    world:opsgenie_heals()
    world:lane_counts("alerts", { asked = 10, delivered = 10 }, 40)
    assert.equal("closed", lane_of(world, "alerts").breaker.state)
    world:settle()
  end)

  it("keeps the rate of an hour over a crash", function()
    local world = story()
    world.config.connections.alerts.rate = { "100/s", "3/h" }
    world:start()
    world:open "alert-operators"
    local reports = {}
    for i = 1, 5 do reports[i] = report("CTRL-" .. i, "raised") end
    world:publish(reports)
    world:lane_counts("alerts", { asked = 5, delivered = 3, waiting = 2 })
    world:kill()
    world:start()
    local rates = lane_of(world, "alerts").rates
    assert.equal("3/h", rates[2].rate)
    assert.equal(3, rates[2].used)
    assert.equal(0, rates[2].left)
    assert.is_true(rates[2].next_in_ms > 3500000)
    assert.equal(3, #world:alerts())
    world:balances()
    assert.matches("0 of 3/h left", world:must "lanes")
  end)

  it("lets alerts overtake bulk mail, and bulk mail go on", function()
    local world = kit.world()
    world.config.connections.mail.rate = "20/s"
    world.config.connections.mail.concurrency = 1
    mailer(world, "bulk", "priority: low")
    mailer(world, "urgent", "priority: high")
    world:start()
    world:open("bulk", "urgent")
    post(world, "bulk", 1, 60)
    world:counts("bulk", { finished = 60 })
    post(world, "urgent", 1, 5)
    world:lane_counts("mail", { asked = 65, delivered = 65 }, 30)
    world:settle()
    local urgent, place = 0, nil
    for i, mail in ipairs(world:mails()) do
      if mail.subject:match "^urgent" then urgent, place = urgent + 1, i end
    end
    assert.equal(5, urgent)
    assert.is_true(place < 55, "the last urgent mail was number " .. place)
  end)

  it("holds what was not delivered within its max_age, and shows when it tries", function()
    local world = kit.world()
    world.config.connections.mail.max_age = "2s"
    world.config.connections.mail.retry_after = "300ms"
    mailer(world, "bulk", "")
    world:start()
    world:open "bulk"
    local text = world:must("lanes", "mail")
    assert.matches("ATTEMPT +AFTER", text)
    assert.matches("until it is 2s old", text)
    world:mail_fault { phase = "rcpt", reply = "450 4.2.0 greylisted", times = 1000 }
    post(world, "bulk", 1, 1)
    local held = world:await_held(1)[1]
    assert.equal("expired", held.verdict)
    assert.matches("greylisted", held.reason)
    assert.is_true(held.attempts > 2)
    world:mail_heals()
    world:must("held", "retry", ("%d"):format(held.held), "--why", "the relay works again")
    world:lane_counts("mail", { asked = 1, delivered = 1, held = 0 })
    world:settle()
  end)

  it("asks the flow first what to do with a mail of which nobody knows", function()
    local world = kit.world()
    mailer(world, "news", "when_unknown: retry")
    world:start()
    world:open "news"
    world:mail_fault { phase = "dot", cut = "after" }
    post(world, "news", 1, 1)
    world:lane_counts("mail", { asked = 1, delivered = 1, held = 0 }, 20)
    world:settle()
    assert.equal(1, world:mailbox_summary().repeats)
  end)
end)
