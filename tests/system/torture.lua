--- What production does to a daemon, one thing after the other, under load.  After each: the books balance, nothing is
--- lost, the order of every key is kept, nothing is done twice but where the far side cannot know it, and each of those
--- is listed as unknown.  Each prints its row of the table.
---
---     torture.inflict("disk full", world, 700, function(stream) ... return times end)
---
--- HEADGATE_TORTURE=long does each of them as often as `make torture` promises.
--- HEADGATE_TEST_SEED repeats the random moments (not what the machine does in between).
local kit = require "kit"
local system = require "system"
local load = require "load"

local torture = {}

local is_long = os.getenv "HEADGATE_TORTURE" == "long"
function torture.often(short, long) return is_long and long or short end

local seed = tonumber(os.getenv "HEADGATE_TEST_SEED") or os.time() % 1000000
io.stderr:write(("# the random moments come from HEADGATE_TEST_SEED=%d\n"):format(seed))
math.randomseed(seed)

torture.is_long = is_long

local row = "# | %-46s | %5s | %6s | %6s | %6s | %7s | %7s | %4s | %5s | %8s | %5s |\n"
function torture.heading()
  io.stdout:write(row:format("what was done to it, under load", "times", "events", "writes", "mails", "repeats",
    "unknown", "lost", "twice", "disorder", "books"))
end

--- The length of a fault: the only times here that are not waited for by a condition.
function torture.lasts(seconds) system.sleep(seconds) end

function torture.world(options)
  local world = kit.world(options)
  world:story()
  -- So many mails to one person are what fuses are against; here they are not what is tried.
  kit.shell("sed -i 's/^limits:.*/limits: {effects_per_event: 50, per_recipient: none, mail: none}/' %s",
    world.folder .. "/flows/mail-contacts/flow.yaml")
  world.config.connections.mail.concurrency = 8
  return world
end

function torture.begin(world)
  world:start()
  world:open(table.unpack(load.flows))
end

--- Pours so many reports (220 a second, or `rate`), lets `happen` do its worst, checks, prints the row.  `happen` says
--- how often it did it.
function torture.inflict(name, world, many, happen, rate)
  torture.many = many
  local stream = load.pour(world, many, { rate = rate or 220 })
  local times = happen(stream)
  local found = stream:check(90)
  io.stdout:write(row:format(name, times, #load.flows * many, found.asked, found.mails, found.repeats, found.unknown,
    found.lost, found.twice, found.disorder, math.tointeger(found.difference)))
  io.stdout:flush()
  assert(found.lost + found.twice + found.disorder + found.difference == 0, found.first or "the books do not balance")
end

local function received(world) return world:flow_status("alert-operators").received end

--- Until more has come in, or all of it is in: a slow machine may take longer for a fault than for the load.
function torture.await_progress(world)
  local before = received(world)
  kit.wait("some progress", 30, function()
    local now = received(world)
    return now > before or now >= torture.many
  end)
end

return torture
