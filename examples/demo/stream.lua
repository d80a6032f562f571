--- The anomalies of a believable half minute: the same for the same seed, but for the moments in them.
---
--- An item is { t = seconds from the start, key = routing key, ... } and one of
---     report =            a good one; `is_late`: it tells of three hours ago
---     repeats = ITEM      the same bytes again
---     raw =, content_type =, or report = and `held_by`: what no flow, or one of them, can take
---
--- `expect` says what must come of them.  It judges by a few lines of its own, so that one can find the other wrong.
local json = require "cjson"
local stream = {}

stream.refused = "moved.away@example.net"      -- the relay knows no such person

stream.controllers = 2400
local CONTROLLERS, A_SITE = stream.controllers, 6
local LATE_S = 3 * 3600

local places = { "Havnegade", "Stadtpark", "Station Road", "Nordhavn", "Marktplatz", "Harbour View", "Vesterbro",
  "Lindenhof", "Mill Lane", "Rosengarten", "Strandvejen", "Castle Street" }
local kinds_of_place = { "Garage", "Nord", "Depot", "West", "Arkaden", "Yard" }
local people = {
  de = { "Anna Winkler", "Jonas Brandt", "Miriam Vogel", "Karl Neumann" },
  da = { "Soren Holm", "Mette Lund", "Freja Dahl", "Jens Krogh" },
  en = { "Alice Moore", "Tom Hughes", "Priya Shah", "Ben Carter" },
}
local languages = { "de", "de-AT", "da", "en", "en-GB", "fr" }      -- French is not spoken: English then
local texts = { offline = "no heartbeat for 15 minutes", temperature = "cabinet too warm",
  connector = "connector 2 does not unlock", firmware = "firmware is older than it should be" }

local function any(list)
  return list[math.random(#list)]
end

local function chance(share)
  return math.random() < share
end

-- ---- sites ----------------------------------------------------------------------------------------

local function make_contact(number, index)
  local language = any(languages)
  local name = any(people[language:sub(1, 2)] or people.en)
  local email = ("%s.%d.%d@example.%s"):format(name:lower():gsub(" ", "."), number, index, any { "com", "net", "org" })
  if chance(0.04) then email = nil elseif chance(0.03) then email = "ask at the desk" end
  return { name = name, email = email, language = language }
end

local function make_site(number)
  local site = { id = ("SITE-%04d"):format(number), name = any(places) .. " " .. any(kinds_of_place),
    tier = chance(0.2) and "gold" or "standard", monitoring = { bought = chance(0.7), through = json.null },
    contacts = {} }
  if chance(0.1) then site.monitoring.through = "2024-12-31" end
  for index = 1, any { 1, 1, 2, 2, 3 } do site.contacts[index] = make_contact(number, index) end
  return site
end

local function make_sites()
  local sites = {}
  for number = 1, CONTROLLERS // A_SITE do sites[number] = make_site(number) end
  return sites
end

-- ---- making ---------------------------------------------------------------------------------------

local making = {}      -- { items, sites, the numbers given so far }
making.__index = making

function making:add(item)
  self.count = self.count + 1
  item.order = self.count
  self.items[self.count] = item
  return item
end

--- One report of an episode.
function making:report(t, episode, state)
  self.reports = self.reports + 1
  return self:add { t = t, key = ("anomaly.%s.%s"):format(episode.kind, state), report = {
    anomaly_id = ("AN-%06d"):format(self.reports), episode = episode.id, controller_id = episode.controller,
    kind = episode.kind, state = state, severity = episode.severity, text = texts[episode.kind], site = episode.site } }
end

function making:episode(number, kind, severity)
  self.episodes = self.episodes + 1
  return { id = ("EP-%05d"):format(self.episodes), controller = ("CTRL-%05d"):format(number), kind = kind,
    severity = severity, site = self.sites[(number - 1) // A_SITE + 1] }
end

--- Each controller of the crowd has one episode at most; the last 100 are kept for those with a part of their own.
function making:crowd(seconds)
  local numbers = {}
  for number = 1, CONTROLLERS - 100 do numbers[number] = number end
  for index = #numbers, 2, -1 do
    local other = math.random(index)
    numbers[index], numbers[other] = numbers[other], numbers[index]
  end
  for index = 1, 1250 do
    local t = math.random() * (seconds - 1)
    local kind = any { "offline", "offline", "offline", "temperature", "temperature", "connector", "firmware" }
    local episode = self:episode(numbers[index], kind, any { 1, 2, 3, 3, 4, 4, 5 })
    local first = self:report(t, episode, "raised")
    if chance(0.06) then self:add { t = t + 0.2 + math.random() * 2, key = first.key, repeats = first } end
    if chance(0.4) then self:report(t + 1 + math.random() * 2, episode, "updated") end
    if chance(0.7) then self:report(t + 3.1 + math.random() * 9, episode, "cleared") end
  end
end

--- A loose cable: offline and back, again and again, each time an episode of its own.
function making:flapping(seconds)
  for number = CONTROLLERS - 60, CONTROLLERS - 51 do
    local t = math.random() * 2
    while t < seconds - 2 do
      local episode = self:episode(number, "offline", 4)
      self:report(t, episode, "raised")
      self:report(t + 0.7, episode, "cleared")
      t = t + 2 + math.random()
    end
  end
end

--- A controller that had no network for hours tells of them now.
function making:late(moments)
  for index, t in ipairs(moments) do
    local item = self:report(t, self:episode(CONTROLLERS - 50 + index, "offline", 4), "raised")
    item.is_late = true
  end
end

function making:malformed(moments)
  local key = "anomaly.offline.raised"
  for index, t in ipairs(moments) do
    local number, what = CONTROLLERS - 99 + index, index % 5
    if what == 0 then
      self:add { t = t, key = key, held_by = "both", raw = '{"anomaly_id": "AN-9' }
    elseif what == 1 then
      self:add { t = t, key = key, held_by = "both", raw = "CTRL-00042 is offline", content_type = "text/plain" }
    else
      local item = self:report(t, self:episode(number, "offline", 4), "raised")
      item.held_by = "both"
      if what == 2 then
        item.report.anomaly_id = nil
      elseif what == 3 then
        item.report.state = "smoking"
      else
        item.held_by = "mail-contacts"          -- an alert needs no contacts
        item.report.site = { name = "Old Depot", monitoring = { bought = true }, contacts = "see wiki" }
      end
    end
  end
end

--- Moments from `from` to `to` seconds, none of them in `quiet`.
local function moments(count, from, to, quiet)
  local list = {}
  while #list < count do
    local t = from + math.random() * (to - from)
    if t < quiet.from or t > quiet.to then list[#list + 1] = t end
  end
  return list
end

--- The reports that the story points at.
function making:parts(plan)
  local site = { id = "SITE-0815", name = "Castle Street Depot", tier = "standard", monitoring = { bought = true },
    contacts = { { name = "Alice Moore", email = "alice.moore@example.com", language = "en" } } }
  local warm, dark, gone = CONTROLLERS - 3, CONTROLLERS - 2, CONTROLLERS - 1
  local parts = {}
  for _, name in ipairs { "before", "after" } do
    local episode = self:episode(warm, "temperature", 4)
    episode.site = site
    parts[name] = self:report(plan[name], episode, "raised").report
  end
  local episode = self:episode(dark, "offline", 5)
  episode.site = site
  parts.through_the_crash = self:report(plan.before_crash, episode, "raised").report
  self:report(plan.after_crash, episode, "cleared")
  episode = self:episode(gone, "offline", 3)
  episode.site = { id = "SITE-0404", name = "Mill Lane West", tier = "standard", monitoring = { bought = true },
    contacts = { { name = "Tom Hughes", email = stream.refused, language = "en-GB" } } }
  self:report(2, episode, "raised")
  self:report(9, episode, "cleared")
  return parts
end

--- The whole stream in the order of its moments, and the reports that play a part.
--- An event that is held has no id or is not marked as seen, so the broker's repeat after a crash could not be told
--- from another one: around `plan.quiet` there are none.
function stream.make(seed, plan)
  math.randomseed(seed)
  local made = setmetatable({ items = {}, count = 0, reports = 0, episodes = 0, sites = make_sites() }, making)
  made:crowd(plan.seconds)
  made:flapping(plan.seconds)
  made:late(moments(40, 0, plan.seconds, plan.quiet))
  made:malformed(moments(30, 0, plan.seconds, plan.quiet))
  local parts = made:parts(plan)
  local items = {}
  for _, item in ipairs(made.items) do
    if item.t < plan.seconds then items[#items + 1] = item end
  end
  table.sort(items, function(a, b)
    if a.t ~= b.t then return a.t < b.t end
    return a.order < b.order
  end)
  return items, parts
end

--- The item's body, as it goes out now.
function stream.body(item)
  if item.raw then return item.raw end
  if item.repeats then return item.repeats.sent end
  item.report.at = os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - (item.is_late and LATE_S or 0))
  item.sent = json.encode(item.report)
  return item.sent
end

-- ---- what must come of them ---------------------------------------------------------------------------

local function new_book()
  return { events = 0, finished = 0, skipped = 0, expired = 0, held = 0 }
end

local function is_bought(monitoring)
  return monitoring.bought and monitoring.through ~= "2024-12-31"
end

local function expect_mails(report, mails)
  if report.state == "updated" or not is_bought(report.site.monitoring) then return end
  for _, contact in ipairs(report.site.contacts) do
    if contact.email and contact.email:find "@" then mails[contact.email] = (mails[contact.email] or 0) + 1 end
  end
end

local function expect_alert(report, alerts)
  local alias = ("%s:%s:%s"):format(report.kind, report.controller_id, report.episode)
  if report.state ~= "cleared" and report.severity > 1 then alerts[alias] = "open" end
  if report.state == "cleared" and alerts[alias] then alerts[alias] = "closed" end
end

--- A book for each flow, by its name; `alerts`: "open" or "closed" by alias; `mails`: how many by address.
function stream.expect(items)
  local expected = { ["alert-operators"] = new_book(), ["mail-contacts"] = new_book(), alerts = {}, mails = {} }
  local function count(flow, what)
    expected[flow].events = expected[flow].events + 1
    expected[flow][what] = expected[flow][what] + 1
  end
  for _, item in ipairs(items) do
    local is_held = item.held_by == "both"
    count("alert-operators", item.repeats and "skipped" or is_held and "held" or "finished")
    if item.report and not is_held then expect_alert(item.report, expected.alerts) end
    if item.key:find "^anomaly%.offline%." then
      local what = item.repeats and "skipped" or item.held_by and "held" or item.is_late and "expired" or "finished"
      count("mail-contacts", what)
      if what == "finished" then expect_mails(item.report, expected.mails) end
    end
  end
  return expected
end

return stream
