--- A stream of reports through the two flows of the repository, and what must have come of it in the end, whatever
--- happened meanwhile: nothing lost, nothing done twice that can be told from once, the order of every controller kept.
---
---     local load = load.pour(world, 600, { controllers = 50, rate = 200 })
---     ... things go wrong, and are well again ...
---     local found = load:check()            -- { asked, mails, repeats, unknown }, or an error that says what is wrong
local kit = require "kit"
local anomaly = kit.anomaly

local load = {}
local Load = {}
Load.__index = Load

load.flows = { "alert-operators", "mail-contacts" }

function load.pour(world, many, options)
  options = options or {}
  local reports, lines = anomaly.stream(many, options.controllers or 150), {}
  for i, report in ipairs(reports) do lines[i] = anomaly.key(report) .. "\t" .. kit.json.encode(report) end
  local publisher = world.broker:pour(world.exchange, lines, options.rate or 220, world.folder)
  return setmetatable({ world = world, reports = reports, publisher = publisher }, Load)
end

--- What must be asked of OpsGenie for a controller, in order, as "create ALIAS"; and how many mails it is worth.
function Load:expectations()
  local writes, mails = {}, {}
  local asked = { raised = { "create" }, updated = { "create", "message", "priority" }, cleared = { "close" } }
  for _, report in ipairs(self.reports) do
    local id, alias = report.controller_id, anomaly.alias(report)
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

--- The writes that OpsGenie took, for each controller, in the order in which they came.
local function taken(requests)
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

--- What is wrong is counted, and the first of each kind kept in words.
local function complain(found, what, format, ...)
  found[what] = found[what] + 1
  found.first = found.first or format:format(...)
end

--- In order, all of them; the last one may come again, because nobody knew whether it had arrived.
local function follow(found, id, expected, actual)
  local at = 0
  for _, write in ipairs(actual) do
    if write == expected[at + 1] then
      at = at + 1
    elseif write == expected[at] then
      found.repeats = found.repeats + 1
    else
      complain(found, "disorder", "%s: %s came after %s; next should be %s", id, write, tostring(expected[at]),
        tostring(expected[at + 1]))
    end
  end
  for i = at + 1, #expected do complain(found, "lost", "%s: %s never came", id, expected[i]) end
end

local function check_alerts(found, world, writes)
  local aliases = {}
  for _, list in pairs(writes) do
    for _, write in ipairs(list) do aliases[write:match "^create (.*)" or false] = true end
  end
  aliases[false] = nil
  for _, alert in ipairs(world:alerts()) do
    if not aliases[alert.alias] then
      complain(found, "twice", "%s is there twice, or nobody asked for it", alert.alias)
    end
    aliases[alert.alias] = nil
  end
  for alias in pairs(aliases) do complain(found, "lost", "no alert for %s", alias) end
end

--- Exactly once, but those that are held as unknown: at most once.
local function check_mails(found, world, wanted)
  local unknown, arrived, counts = {}, {}, {}
  for _, held in ipairs(world:held()) do
    assert(held.kind == "effect" and held.connection == "mail" and held.verdict == "unknown", kit.json.encode(held))
    unknown["<" .. held.effect_id .. "@example.com>"] = true
    found.unknown = found.unknown + 1
  end
  local known = found.unknown
  for _, mail in ipairs(world:mails()) do
    local to = mail.to[1]
    if arrived[mail.message_id] then complain(found, "twice", "%s to %s came twice", mail.message_id, to) end
    arrived[mail.message_id] = true
    counts[to] = (counts[to] or 0) + 1
    found.mails = found.mails + 1
    if not unknown[mail.message_id] then known = known + 1 end
  end
  for address, many in pairs(wanted) do
    known = known - many
    if (counts[address] or 0) > many then
      complain(found, "twice", "%s got %d mails, not %d", address, counts[address], many)
    end
  end
  if known < 0 then
    found.lost, found.first = found.lost - known, ("%d mails neither came nor are unknown"):format(-known)
  end
end

local function difference(status)
  local sum = 0
  for _, kind in ipairs { status.flows, status.lanes } do
    for _, each in ipairs(kind) do sum = sum + math.abs(each.difference) end
  end
  return sum
end

--- Waits until all of it is through, then looks at both far sides and at the books.  What it found: `asked` writes,
--- `mails`, `repeats` that OpsGenie could recognise, `unknown`; and what must be 0: `lost`, `twice`, `disorder`,
--- `difference`.  `first` says what was wrong first.
function Load:check(seconds)
  local world = self.world
  local found = { asked = 0, mails = 0, repeats = 0, unknown = 0, lost = 0, twice = 0, disorder = 0 }
  assert(self.publisher:ended(seconds or 60) == 0, "the publisher failed")
  for _, flow in ipairs(load.flows) do
    world:counts(flow, { finished = #self.reports, expired = 0, held = 0 }, seconds or 60)
  end
  found.difference = difference(world:settle(seconds or 60))
  local writes, mails = self:expectations()
  local requests = taken(world:requests())
  for id, expected in pairs(writes) do
    found.asked = found.asked + #expected
    follow(found, id, expected, requests[id] or {})
  end
  check_alerts(found, world, writes)
  check_mails(found, world, mails)
  return found
end

return load
