--- Campaigns: lists of recipients, looked at, paused, resumed, cancelled; and who is suppressed.
local kit = require "kit"

local flow = [[
return { run = function(event)
  mail.send { campaign = event.body.campaign, to = event.body.to, subject = "Hello", text = "Hello, you." }
end }
]]

local function world_with(options)
  local world = kit.world()
  for name, value in pairs(options or {}) do world.config.connections.mail[name] = value end
  world:flow("hello", { manifest = "event: {id: body.id, limit: 8MiB}\nuses: [mail]", lua = flow })
  world:start()
  world:open "hello"
  return world
end

local function addresses(count)
  local list = {}
  for i = 1, count do list[i] = ("person-%d@example.com"):format(i) end
  return list
end

local function send(world, id, campaign, to)
  world:publish({ { id = id, campaign = campaign, to = to } }, "hello")
end

local function campaign(world, name)
  for _, each in ipairs(world:ask("campaigns", "--json").campaigns) do
    assert(each.difference == 0, "the books do not balance: " .. kit.json.encode(each))
    if each.campaign == name then return each end
  end
end

--- Waits until the campaign's book says so.
local function await(world, name, wanted)
  kit.wait("campaign " .. name, 20, function()
    local book = campaign(world, name)
    if not book then return false, "there is none" end
    for field, value in pairs(wanted) do
      if book[field] ~= value then return false, ("%s is %s, not %s"):format(field, tostring(book[field]), value) end
    end
    return true
  end)
end

describe("a campaign", function()
  after_each(kit.tidy)

  it("of 50,000 recipients is handed over in one event, shown with its progress, and cancelled", function()
    local world = world_with { rate = "50/s" }
    send(world, "1", "fifty thousand", addresses(50000))
    await(world, "fifty thousand", { total = 50000 })
    kit.wait("a mail", 20, function() return world:mailbox_summary().count > 0 end)
    assert.matches("fifty thousand +mail +running +50000 +0 +%d+ +%d+ +0 +0 +0 +0 %%", world:must "campaigns")
    world:must("campaigns", "cancel", "fifty thousand", "--why", "the test has seen enough")
    await(world, "fifty thousand", { not_fed = 0, waiting = 0, state = "cancelled" })
    local book = campaign(world, "fifty thousand")
    assert.equal(50000, book.delivered + book.cancelled)
    assert.equal(book.delivered, world:mailbox_summary().count)
    local _, complaint, code = world:headgate("campaigns", "resume", "fifty thousand", "--why", "or not")
    assert.equal(1, code)
    assert.matches("cancelled already, by .*: the test has seen enough; that is for ever", complaint)
    assert.matches("campaign cancel +fifty thousand", world:must "audit")
    world:settle()
  end)

  it("that is paused lets others pass, also over a restart, and goes on when it is resumed", function()
    local world = world_with { rate = "200/s" }
    send(world, "1", "slow", addresses(1000))
    kit.wait("some mails", 20, function() return world:mailbox_summary().count >= 50 end)
    world:must("campaigns", "pause", "slow", "--why", "a question")
    kit.wait("the outbox to be empty", 20, function() return world:lane("mail").under_way == 0 end)
    send(world, "2", "other", { "ada@example.com" })
    await(world, "other", { delivered = 1 })
    local before = campaign(world, "slow")
    assert.is_true(before.delivered < 1000 and before.state == "paused")
    world:stop()
    world.config.connections.mail.rate = nil
    world:start()
    assert.matches("paused since .*: a question", world:must("campaigns", "show", "slow"))
    world:must("campaigns", "resume", "slow", "--why", "it was answered")
    await(world, "slow", { delivered = 1000, waiting = 0, not_fed = 0 })
    world:settle()
    assert.equal(1001, world:mailbox_summary().count)
    assert.equal(0, world:mailbox_summary().repeats)
  end)

  it("says who could not be written to, and a mended list reaches them alone", function()
    local world = world_with()
    send(world, "1", "c", { "ada@example.com", "bob at example.com", "ADA@example.com" })
    await(world, "c", { total = 3, delivered = 1, unfit = 1, duplicate = 1 })
    assert.matches("bob at example.com: .*no mail address", world:must("campaigns", "show", "c"))
    send(world, "2", "c", { "ada@example.com", "bob@example.com" })
    await(world, "c", { total = 5, delivered = 2, duplicate = 2 })
    world:settle()
  end)

  it("writes to one address once, whichever event asks, and the trace of the second says when it was", function()
    local world = world_with()
    send(world, "1", "c", "ada@example.com")
    await(world, "c", { delivered = 1 })
    send(world, "2", "c", "Ada@Example.com")
    await(world, "c", { duplicate = 1 })
    assert.matches("campaign c\n +%-> mail.send delivered", world:must("trace", "ada@example.com"))
    assert.matches("superseded .*campaign c wrote to this recipient already", world:must("trace", "2"))
    world:settle()
    assert.equal(1, #world:mails())
  end)
end)

describe("an address that does not exist", function()
  after_each(kit.tidy)

  it("is suppressed, nothing more is sent to it, and a person takes it off the list", function()
    local world = world_with()
    world:mail_fault { phase = "rcpt", to = "ada@example.com", reply = "550 5.1.1 no such user" }
    send(world, "1", "c", { "ada@example.com", "bob@example.com" })
    await(world, "c", { delivered = 1, bounced = 1 })
    assert.matches("ada@example.com +mail +.*the far side +550 5.1.1 no such user", world:must "suppressed")
    world:mail_heals()
    send(world, "2", "d", "Ada@example.com")
    await(world, "d", { suppressed = 1 })
    assert.matches("refused .*suppressed since 20.*because 550 5.1.1 no such user", world:must("trace", "2"))
    world:must("suppressed", "remove", "ada@example.com", "--connection", "mail", "--why", "she is back")
    send(world, "3", "e", "Ada@example.com")
    await(world, "e", { delivered = 1 })
    world:must("suppressed", "add", "Bob@example.com", "--connection", "mail", "--why", "wants nothing more")
    send(world, "4", "e", "bob@example.com")
    await(world, "e", { suppressed = 1 })
    assert.matches("suppressed remove", world:must "audit")
    world:settle()
    assert.equal(2, #world:mails())
  end)
end)
