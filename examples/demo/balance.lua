--- Do the books balance?  What was published, against what the flows counted and what really arrived.
---
--- Three sources that know nothing of each other: the stream (what must come of it), the daemon's books, and the
--- sandbox (which alerts and mails are there).  A check that fails says by how much.
local balance = {}

local flows = { "alert-operators", "mail-contacts" }

local function by_name(list, name)
  local found = {}
  for _, one in ipairs(list) do found[one[name]] = one end
  return found
end

local function skipped_of(flow)
  return flow.skipped["repeat"] + flow.skipped.dropped + flow.skipped.discarded
end

--- What the broker delivered again after the crash: it had been committed, but its acknowledgement had not arrived.
--- Such an event is received once more and skipped as a repeat, so received and skipped are above the plan by as many.
local function check_flow(expect, name, flow, book)
  local again = flow.received - book.events
  expect(again >= 0, "%s received all %d events published for it%s", name, book.events,
    again > 0 and (", %d again after the crash"):format(again) or "")
  local good = flow.finished == book.finished and flow.expired == book.expired and flow.held == book.held
    and skipped_of(flow) == book.skipped + again and flow.waiting == 0
  expect(good, "%s: %d finished, %d skipped, %d expired, %d held%s", name, flow.finished, skipped_of(flow),
    flow.expired, flow.held, good and "" or ("; due were %d, %d, %d, %d"):format(book.finished,
      book.skipped + again, book.expired, book.held))
end

local function check_alerts(expect, expected, alerts)
  local found, doubled, strangers, missing, wrong, total = {}, 0, 0, 0, 0, 0
  for _, alert in ipairs(alerts) do
    if found[alert.alias] then doubled = doubled + 1 end
    if not expected[alert.alias] then strangers = strangers + 1 end
    found[alert.alias] = alert.status
  end
  for alias, status in pairs(expected) do
    total = total + 1
    if not found[alias] then missing = missing + 1 elseif found[alias] ~= status then wrong = wrong + 1 end
  end
  expect(missing + doubled + strangers == 0, "%d alerts were due: %d there, %d missing, %d twice, %d strange",
    total, #alerts, missing, doubled, strangers)
  expect(wrong == 0, "each is open or closed as its last report says%s",
    wrong > 0 and (": not so %d"):format(wrong) or "")
end

--- A mail's Message-ID begins with its effect's id.
local function effect_of(mail)
  return mail.message_id:match "^<(%x+)@"
end

local function count_mails(mails)
  local of_address, of_effect, doubled = {}, {}, 0
  for _, mail in ipairs(mails) do
    local address, effect = mail.to[1], effect_of(mail)
    of_address[address] = (of_address[address] or 0) + 1
    if of_effect[effect] then doubled = doubled + 1 end
    of_effect[effect] = true
  end
  return of_address, of_effect, doubled
end

local function count_held_mails(held, of_effect)
  local count = { never = 0, unknown = 0, arrived = 0 }
  for _, item in ipairs(held) do
    if item.connection == "mail" then
      count[item.verdict] = (count[item.verdict] or 0) + 1
      if item.verdict == "unknown" and of_effect[item.effect_id] then count.arrived = count.arrived + 1 end
    end
  end
  return count
end

--- `refused`: mails that the lane gave up by itself, as the relay has refused their address for good before.
local function check_mails(expect, expected, mails, held, refused)
  local of_address, of_effect, doubled = count_mails(mails)
  local count = count_held_mails(held, of_effect)
  local due, short, too_many = 0, 0, 0
  for address, wanted in pairs(expected) do
    local got = of_address[address] or 0
    due, short, too_many = due + wanted, short + math.max(wanted - got, 0), too_many + math.max(got - wanted, 0)
  end
  for address, got in pairs(of_address) do
    if not expected[address] then too_many = too_many + got end
  end
  refused = refused + count.never
  local missing = short - refused - (count.unknown - count.arrived)
  expect(missing == 0 and doubled + too_many == 0, "%d mails were due: %d arrived, %d refused, %d missing, "
    .. "%d twice, %d strange", due, #mails, refused, missing, doubled, too_many)
  if count.unknown > 0 then
    expect(true, "%d mails unknown since the crash: held, not sent again (%d had arrived)",
      count.unknown, count.arrived)
  end
end

--- { checks = { { ok =, text = } ... }, ok = }
function balance.check(expected, status, held, alerts, mails)
  local result = { checks = {}, ok = true }
  local function expect(ok, text, ...)
    result.checks[#result.checks + 1] = { ok = ok, text = text:format(...) }
    result.ok = result.ok and ok
  end
  local flow_of, lane_of = by_name(status.flows, "flow"), by_name(status.lanes, "connection")
  for _, name in ipairs(flows) do check_flow(expect, name, flow_of[name], expected[name]) end
  check_alerts(expect, expected.alerts, alerts)
  check_mails(expect, expected.mails, mails, held, lane_of.mail.refused)
  local difference, waiting = 0, 0
  for _, one in pairs(flow_of) do difference = difference + math.abs(one.difference) end
  for _, one in pairs(lane_of) do
    difference, waiting = difference + math.abs(one.difference), waiting + one.waiting
  end
  expect(difference == 0 and waiting == 0, "Headgate's own books: the difference is %d, %d effects wait", difference,
    waiting)
  return result
end

local function row_of(name, ...)
  local row = { name }
  local count = select("#", ...)
  for index, number in ipairs { ... } do row[index + 1] = ("%d"):format(number) .. (index < count and "  " or "") end
  return row
end

--- The books as tables: rows for screen.grid, of the flows and of the lanes.
function balance.books(status)
  local of_flows = { { "FLOW", "RECEIVED =", "FINISHED +", "SKIPPED +", "EXPIRED +", "WAITING +", "HELD" } }
  for _, flow in ipairs(status.flows) do
    of_flows[#of_flows + 1] = row_of(flow.flow, flow.received, flow.finished, skipped_of(flow), flow.expired,
      flow.waiting, flow.held)
  end
  local of_lanes = { { "LANE", "ASKED =", "DELIVERED +", "REFUSED +", "SUPERSEDED +", "WAITING +", "HELD" } }
  for _, lane in ipairs(status.lanes) do
    if lane.asked > 0 then
      of_lanes[#of_lanes + 1] = row_of(lane.connection, lane.asked, lane.delivered, lane.refused, lane.superseded,
        lane.waiting, lane.held)
    end
  end
  return of_flows, of_lanes
end

return balance
