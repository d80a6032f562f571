--- SIGKILL at twenty random moments under load: nothing is lost, and nothing is done twice that can be told from once.
---
--- HEADGATE_TEST_SEED repeats a run's moments (not what the machine does in between).
local kit = require "kit"
local system = require "system"
local anomaly = kit.anomaly

local KILLS, REPORTS, CONTROLLERS, RATE = 20, 3000, 150, 220   -- the reports come as long as the kills

local function moments()
  local seed = tonumber(os.getenv "HEADGATE_TEST_SEED") or os.time() % 1000000
  io.stderr:write(("# the moments of the kills come from HEADGATE_TEST_SEED=%d\n"):format(seed))
  math.randomseed(seed)
  local list = {}
  for i = 1, KILLS do list[i] = 0.05 + math.random() * 1.2 end
  return list
end

--- What must be asked of OpsGenie for a controller, in order, as "create ALIAS"; and how many mails it is worth.
local function expectations(reports)
  local writes, mails = {}, {}
  for _, report in ipairs(reports) do
    local id, alias = report.controller_id, anomaly.alias(report)
    local asked = ({ raised = { "create" }, updated = { "create", "message", "priority" }, cleared = { "close" } })
    writes[id] = writes[id] or {}
    for _, write in ipairs(asked[report.state]) do table.insert(writes[id], write .. " " .. alias) end
    local address = report.site.contacts[1].email
    mails[address] = (mails[address] or 0) + (report.state ~= "updated" and 1 or 0)
  end
  return writes, mails
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- The writes that OpsGenie saw, for each controller, in the order in which they came.
local function seen(requests)
  local writes = {}
  for _, request in ipairs(requests) do
    if request.method ~= "GET" then
      local alias, write = request.path:match "^/v2/alerts/([^/]+)/(%a+)%?"
      alias, write = alias and unescape(alias) or kit.json.decode(request.body).alias, write or "create"
      local id = alias:match ":(CTRL%-%d+):"
      writes[id] = writes[id] or {}
      table.insert(writes[id], write .. " " .. alias)
    end
  end
  return writes
end

--- In order, all of them; the last one may come again, because nobody knew whether it had arrived.
local function follows(id, expected, actual)
  local at = 0
  for _, write in ipairs(actual) do
    if write == expected[at + 1] then
      at = at + 1
    else
      assert(write == expected[at], ("%s: %s came after %s; next should be %s")
        :format(id, write, tostring(expected[at]), tostring(expected[at + 1])))
    end
  end
  assert(at == #expected, ("%s: %s never came"):format(id, tostring(expected[at + 1])))
end

local function kill_at(world, list)
  for _, seconds in ipairs(list) do
    world:begin()
    local deadline = system.monotime() + seconds
    while system.monotime() < deadline do
      assert(world.daemon:is_running(), "the daemon ended by itself")
      local output = world:headgate("status", "--json")
      if output:sub(1, 1) == "{" then world:balances(kit.json.decode(output)) end
      system.sleep(math.max(0, math.min(0.1, deadline - system.monotime())))
    end
    world:kill()
  end
end

local function check_alerts(world, writes)
  local expected, aliases = 0, {}
  for _, list in pairs(writes) do
    for _, write in ipairs(list) do
      local alias = write:match "^create (.*)"
      if alias and not aliases[alias] then
        expected, aliases[alias] = expected + 1, true
      end
    end
  end
  local alerts = world:alerts()
  for _, alert in ipairs(alerts) do
    assert(aliases[alert.alias], "nobody asked for " .. alert.alias)
    aliases[alert.alias] = nil
  end
  assert(next(aliases) == nil, ("no alert for %s"):format(tostring((next(aliases)))))
  assert.equal(expected, #alerts)
end

--- Exactly once, but those that are held as unknown: at most once.
local function check_mails(world, wanted)
  local unknown, arrived, total = {}, {}, 0
  for _, held in ipairs(world:held()) do
    assert(held.kind == "effect" and held.connection == "mail" and held.verdict == "unknown", kit.json.encode(held))
    unknown["<" .. held.effect_id .. "@example.com>"] = held
  end
  local counts = {}
  for _, mail in ipairs(world:mails()) do
    assert(not arrived[mail.message_id], "arrived twice: " .. kit.json.encode(mail))
    arrived[mail.message_id] = true
    unknown[mail.message_id] = nil
    counts[mail.to[1]] = (counts[mail.to[1]] or 0) + 1
    total = total + 1
  end
  for _ in pairs(unknown) do total = total + 1 end
  local expected = 0
  for address, many in pairs(wanted) do
    expected = expected + many
    assert((counts[address] or 0) <= many, ("%s got %d mails, not %d"):format(address, counts[address] or 0, many))
  end
  assert.equal(expected, total)
end

describe("a daemon that is killed at twenty random moments", function()
  after_each(kit.tidy)

  it("has lost nothing in the end, done nothing twice, and kept the order of every controller", function()
    local world = kit.world()
    world:story()
    world.config.connections.mail.concurrency = 8
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:stop()

    local reports, lines = anomaly.stream(REPORTS, CONTROLLERS), {}
    for i, report in ipairs(reports) do lines[i] = anomaly.key(report) .. "\t" .. kit.json.encode(report) end
    local publisher = world.broker:pour(world.exchange, lines, RATE, world.folder)
    kill_at(world, moments())
    world:start()
    assert.equal(0, publisher:ended(60))
    for _, flow in ipairs { "alert-operators", "mail-contacts" } do
      world:counts(flow, { finished = REPORTS, expired = 0, held = 0 }, 60)
    end
    world:settle(60)

    local writes, mails = expectations(reports)
    local saw = seen(world:requests())
    for id, expected in pairs(writes) do follows(id, expected, saw[id] or {}) end
    check_alerts(world, writes)
    check_mails(world, mails)
    world:balances()
  end)
end)
