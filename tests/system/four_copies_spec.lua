--- The four-copies story: a job writes to 10,000 people, the daemon is killed 50 times meanwhile, the job is started
--- three times, and a new release comes in between.  Every mailbox has exactly one mail; or zero or one, and an entry
--- under unknown.
---
--- HEADGATE_TEST_COPIES and HEADGATE_TEST_KILLS say how many recipients and kills; a small story is the default.
local kit = require "kit"
local system = require "system"

local COPIES = tonumber(os.getenv "HEADGATE_TEST_COPIES") or 400
local KILLS = tonumber(os.getenv "HEADGATE_TEST_KILLS") or 5
local PATIENCE = 30 + COPIES / 50 + 2 * KILLS        -- seconds for the whole

--- Half of the recipients are plain addresses, the other half tables; every tenth is in the list twice.
local flow = [[
local step = {}
function step.run(event)
  local to = {}
  for i = 1, event.body.count do
    local address = ("person-%%d@example.com"):format(i)
    to[#to + 1] = i %% 2 == 0 and address or { to = address, data = { number = i } }
    if i %% 10 == 0 then to[#to + 1] = ("Person-%%d@Example.com"):format(i) end
  end
  mail.send { campaign = "spring", template = "spring", language = "en", data = { number = 0 }, to = to }
end
return { run = step.run }   -- release %d
]]

local function deploy(world, release)
  return world:flow("spring", {
    manifest = "uses: [mail]",
    lua = flow:format(release),
    files = {
      ["templates/spring.en.txt"] = ("Subject: Spring\n\nYou are number {{number}} (release %d).\n"):format(release),
    },
  })
end

local function campaign(world)
  local list = world:ask("campaigns", "--json").campaigns
  assert(#list <= 1, "one campaign")
  return list[1]
end

local function expect_balance(world)
  local book = campaign(world)
  assert(not book or book.difference == 0, "the books of the campaign do not balance: " .. kit.json.encode(book or {}))
  return book
end

--- Runs until the mailbox has so many mails (or all is done), then kills.
local function run_and_kill(world, mails)
  world:begin()
  kit.wait(mails .. " mails", PATIENCE, function()
    assert(world.daemon:is_running(), "the daemon ended by itself")
    return world:mailbox_summary().count >= mails
  end)
  world:kill()
end

local function start_job(world, nth)
  world:publish({ { id = "job-" .. nth, count = COPIES } }, "spring")
end

local function check_mailboxes(world)
  local unknown, seen, several = {}, world:recipients(), {}
  for _, held in ipairs(world:ask("held", "--json", "--limit", "1000").held) do
    assert(held.verdict == "unknown", "held for another reason: " .. kit.json.encode(held))
    unknown[held.key] = true
  end
  local missing, arrived, unsure = {}, 0, 0
  for i = 1, COPIES do
    local address = ("person-%d@example.com"):format(i)
    local mails = seen[address] and seen[address].mails or 0
    seen[address] = nil
    arrived = arrived + math.min(mails, 1)
    unsure = unsure + (unknown[address] and 1 or 0)
    if mails > 1 then several[#several + 1] = ("%s got %d"):format(address, mails) end
    if mails == 0 and not unknown[address] then missing[#missing + 1] = address end
  end
  assert(#several == 0, "several copies: " .. table.concat(several, ", "))
  assert(#missing == 0, ("%d got nothing, and are not unknown: %s"):format(#missing,
    table.concat(missing, ", ", 1, math.min(5, #missing))))
  assert(next(seen) == nil, "a stranger got mail: " .. tostring(next(seen)))
  return arrived, unsure
end

describe("a job that writes to many people", function()
  after_each(kit.tidy)

  it("writes to each once, though it is killed again and again and started three times", function()
    local world = kit.world()
    world.config.connections.mail.concurrency = 8
    deploy(world, 1)
    world:start()
    world:open "spring"
    world:stop()

    local began = system.monotime()
    start_job(world, 1)
    local second, third = KILLS // 3, 2 * KILLS // 3
    for kill = 1, KILLS do
      run_and_kill(world, math.floor(COPIES * kill / (KILLS + 2)))
      if kill == second then start_job(world, 2) end
      if kill == third then
        world:start()
        expect_balance(world)
        world:must("deploy", deploy(world, 2), "--why", "a better text")
        start_job(world, 3)
      end
      if kill == third then world:kill() end
    end
    world:start()
    world:counts("spring", { finished = 3, held = 0 }, PATIENCE)
    kit.wait("all lists to be sent", PATIENCE, function()
      local book = campaign(world)
      return book.not_fed == 0 and book.waiting == 0, ("%d left"):format(book.not_fed + book.waiting)
    end)
    world:settle(PATIENCE)

    local book = expect_balance(world)
    local arrived, unsure = check_mailboxes(world)
    assert.equal(COPIES, book.delivered + book.held)
    assert.equal(3 * (COPIES + COPIES // 10), book.total)
    assert.equal(book.held, book.unknown)
    assert.equal(0, world:mailbox_summary().repeats)
    io.stderr:write(("# %d recipients, %d kills, 3 starts: %d got one mail, %d are unknown, in %.1f s\n"):format(
      COPIES, KILLS, arrived, unsure, system.monotime() - began))
  end)
end)
