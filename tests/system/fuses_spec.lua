--- Fuses: a flow that goes mad is stopped at its limit, and nothing is lost by it.
local kit = require "kit"
local system = require "system"

local write = [[return { run = function(event)
  mail.send { to = event.body.to, subject = "Again", text = event.id }
end }]]

local function world_with(limits, lua)
  local world = kit.world()
  world.path = world:flow("mad", { manifest = "uses: [mail]\n" .. (limits or ""), lua = lua or write })
  world.config.connections.mail.concurrency = 4
  world.config.connections.mail.retry_after = "50ms"
  return world
end

local function bodies(from, to, address)
  local list = {}
  for i = from, to do list[#list + 1] = { id = "M-" .. i, to = address or "ada@example.net" } end
  return list
end

local function is_tripped(world, seconds)
  kit.wait("the gate to trip", seconds or 15, function() return world:flow_status("mad").gate == "tripped" end)
  return world:flow_status("mad").tripped.reason
end

local function mails(world, to)
  local one = world:recipients()[to or "ada@example.net"]
  return one and one.mails or 0
end

local function number(held) return ("%d"):format(held.held) end

describe("a flow that goes mad", function()
  after_each(kit.tidy)

  it("writes to a person only so often, though nobody wrote a limit down", function()
    local world = world_with()
    world:start()
    world:open "mad"
    world:publish(bodies(1, 20), "any")
    world:counts("mad", { finished = 20 })
    world:settle()
    world:publish(bodies(21, 60), "any")
    assert.matches("to ada@example.net would be number 21 within a day; flow mad may reach one person 20/d",
      is_tripped(world), 1, true)
    assert.equal(20, mails(world))

    local held = world:await_held(1)[1]
    assert.matches("number 21 within a day", held.reason)
    kit.wait("the others to be back in the queue", 15, function()
      local status = world:flow_status "mad"
      return status.under_way == 0 and not status.is_listening and world.broker:count(world:queue "mad") == 39
    end)
    world:balances()
    world:counts("mad", { received = 21, finished = 20, held = 1 })
  end)

  it("is told to everyone, and goes on when a person has reset it", function()
    local world = world_with "limits: {per_recipient: 5/d}"
    world:start()
    world:open "mad"
    world:publish(bodies(1, 12), "any")
    is_tripped(world)
    world:says "headgate reset mad --why TEXT"
    local output = world:must "status"
    assert.matches("^[^\n]*\n\nflow mad is tripped since [%d:]+: mail.send to ada@example.net", output)
    local finding, _, code = world:headgate("doctor")
    assert.equal(1, code)
    assert.matches("would be number 6 within a day", finding)

    local _, complaint, refused = world:headgate("on", "mad", "--why", "impatience")
    assert.equal(1, refused)
    assert.matches("headgate reset mad", complaint)
    world:must("off", "mad", "--why", "closing time")
    assert.equal("tripped", world:flow_status("mad").gate)
    _, _, code = world:headgate("reset", "mad")
    assert.equal(64, code)
    assert.matches("gate off", world:must("reset", "mad", "--why", "it is a test"))
    assert.equal("off", world:flow_status("mad").gate)
    kit.wait("what it had asked for to be delivered", 15, function() return mails(world) == 5 end)
    _, complaint, code = world:headgate("reset", "mad", "--why", "once more")
    assert.equal(1, code)
    assert.matches("not tripped; it is off", complaint)

    local audit = world:ask("audit", "--json").audit
    assert.equal("tripped -> off", audit[1].text)
    assert.equal("it is a test", audit[1].why)
    assert.equal("on -> off", audit[2].text)
    assert.equal("on -> tripped", audit[3].text)
    assert.equal("headgate", audit[3].who)
    assert.matches("would be number 6", audit[3].why)

    world:must("on", "mad", "--why", "five more, and then it trips again")
    is_tripped(world)
    world:must("reset", "mad", "--why", "the last two")
    for _, held in ipairs(world:await_held(2)) do world:must("held", "retry", number(held), "--why", "asked for") end
    world:counts("mad", { received = 12, finished = 12, held = 0, waiting = 0 })
    world:settle()
    assert.equal(12, mails(world))
    assert.equal(0, world:recipients()["ada@example.net"].repeats)
  end)

  it("does not hold back the effects of others in the same lane", function()
    local world = world_with "limits: {effects: 8/h}"
    world:flow("calm", { manifest = "uses: [mail]", keys = "calm", lua = write })
    world:start()
    world:open("mad", "calm")
    world:mail_fault { phase = "rcpt", to = "ada@example.net", reply = "450 4.2.0 greylisted" }
    world:publish(bodies(1, 9), "any")
    is_tripped(world)
    world:publish(bodies(101, 103, "bob@example.net"), "calm")
    world:counts("calm", { finished = 3 })
    world:mail_heals()
    kit.wait("the mails of the other flow", 60, function() return mails(world, "bob@example.net") == 3 end)
    assert.equal(0, mails(world))
    world:must("reset", "mad", "--why", "bob has his mails")
    kit.wait("its mails", 60, function() return mails(world) >= 8 end)
  end)

  it("is stopped by a fuse of the connection, too", function()
    local world = world_with()
    world.config.connections.mail.fuse = { per_recipient = "3/d", effects = "100/h" }
    world:start()
    world:open "mad"
    world:publish(bodies(1, 4), "any")
    assert.matches("connection mail, for all flows, may reach one person 3/d", is_tripped(world), 1, true)
  end)

  it("and is killed in the moment of the trip has neither lost an event nor written once too often", function()
    local world = world_with "limits: {per_recipient: 40/d}"
    world:start()
    world:open "mad"
    world:stop()
    world:publish(bodies(1, 60), "any")
    local function trips() return select(2, world:log():gsub("its gate is tripped", "")) end
    for _ = 1, 10 do
      local before = trips()
      world:begin()
      local deadline = system.monotime() + 0.05 + math.random() * 0.4
      kit.wait("the moment", 15, function() return system.monotime() > deadline or trips() > before end)
      world:kill()
    end
    world:start()
    is_tripped(world, 30)
    world:balances()
    world:counts("mad", { finished = 40, held = 1 })
    local unknown = 0
    world:must("reset", "mad", "--why", "the test")
    kit.wait("the rest", 30, function()
      local status = world:flow_status "mad"
      local lane = world:lane "mail"
      return status.finished == 59 and status.waiting == 0 and lane.waiting == 0,
        ("%d finished, %d wait; %d in the lane, %d parked"):format(status.finished, status.waiting, lane.waiting,
          lane.parked)
    end)
    -- What was on disk, and killed before its ack, came again and was recognised.
    local flow = world:flow_status "mad"
    assert.equal(60, flow.received - flow.skipped["repeat"])
    for _, held in ipairs(world:held()) do
      if held.kind == "effect" then
        assert.equal("unknown", held.verdict)
        unknown = unknown + 1
      end
    end
    local sent = mails(world)
    assert.truthy(sent <= 59 and sent + unknown >= 59, sent .. " mails, " .. unknown .. " unknown")
    assert.equal(0, world:recipients()["ada@example.net"].repeats)
    world:balances()
  end)
end)
