--- The story of the demo: what happens when, and what is said about it.
---
---     broker, sandbox, daemon ─► gates ─► half a minute of anomalies, scenes ─► all drains ─► the balance
---
--- A scene is a row of `scenes`: its moment in the stream, and what it does.  Between scenes the stream is published
--- and the panel drawn, about four times a second.  Exit: 0 the books balance, 1 they do not, 69 something is missing.
local balance = require "balance"
local screen = require "screen"
local stream = require "stream"
local world = require "world"

local root, build, folder, with_terminal, keeps = table.unpack(arg, 1, 5)

local SEED = 4711
local STREAM_S, DRAIN_S, FRAME_S = 30, 40, 0.2
local plan = { seconds = STREAM_S, before = 8.5, after = 13, before_crash = 23.2, after_crash = 28,
  quiet = { from = 21, to = 24.5 } }

local began_s                 -- when the story began
local stream_began_s          -- when the stream did
local items, parts            -- the stream, and those of its reports that play a part
local sent = 0                -- how many of them are published
local publishers              -- by content type
local seen = {}               -- what was last seen of the world
local queues = {}             -- messages that wait at the broker, by flow; only while somebody should look
local looks_at_queues = false
local is_dead = false         -- the daemon

local function say(...)
  screen.say(world.seconds() - began_s, ...)
end

--- Runs a command of headgate; the story ends if it fails.
local function command(...)
  local text, ok = world.headgate(...)
  if not ok then error({ reason = "headgate " .. table.concat({ ... }, " ") .. " failed", log = text }) end
  return (text:gsub("%s+$", ""))
end

-- ---- the panel -----------------------------------------------------------------------------------------

local function number(value)
  return ("%d"):format(value or 0)
end

local function skipped_of(flow)
  return flow.skipped["repeat"] + flow.skipped.dropped + flow.skipped.discarded
end

local function flow_rows(status)
  local grid = { { "FLOW", "GATE", "RATE", "RECEIVED", "FINISHED", "SKIPPED", "EXPIRED", "HELD", "QUEUE" } }
  for _, flow in ipairs(status.flows) do
    grid[#grid + 1] = { flow.flow, is_dead and "-" or flow.gate, is_dead and "-" or ("%.0f/s"):format(flow.rate),
      number(flow.received), number(flow.finished), number(skipped_of(flow)), number(flow.expired), number(flow.held),
      queues[flow.flow] or "" }
  end
  return screen.grid(grid, { [2] = true })
end

local function lane_rows(status)
  local grid = { { "LANE", "STATE", "ASKED", "DELIVERED", "WAITING", "HELD" } }
  for _, lane in ipairs(status.lanes) do
    if lane.adapter ~= "amqp" then
      grid[#grid + 1] = { lane.connection, ("%-8s"):format(is_dead and "-" or lane.state), number(lane.asked),
        number(lane.delivered), number(lane.waiting), number(lane.held) }
    end
  end
  return screen.grid(grid, { [2] = true })
end

local function heading()
  local daemon = is_dead and screen.paint("red", "the daemon is dead") or screen.paint("green", "the daemon runs")
  return ("%s    published %d of %d events"):format(daemon, sent, #items)
end

local function arrived()
  local alerts, mails = seen.alerts or {}, seen.mails or {}
  return ("OpsGenie  %d alerts open, %d closed      Mailbox  %d mails, %d repeats"):format(alerts.open or 0,
    alerts.closed or 0, mails.count or 0, mails.repeats or 0)
end

local function panel()
  local lines = { "", heading(), "" }
  for _, line in ipairs(flow_rows(seen.status)) do lines[#lines + 1] = line end
  lines[#lines + 1] = ""
  for _, line in ipairs(lane_rows(seen.status)) do lines[#lines + 1] = line end
  lines[#lines + 1] = ""
  lines[#lines + 1] = arrived()
  return lines
end

--- The panel in one line, for where there is no terminal.
local function summary()
  local words = { ("events %d/%d"):format(sent, #items) }
  local held = 0
  for _, flow in ipairs(seen.status.flows) do held = held + flow.held end
  for _, lane in ipairs(seen.status.lanes) do
    held = held + lane.held
    if lane.adapter ~= "amqp" then
      words[#words + 1] = ("%s %d/%d"):format(lane.connection, lane.delivered, lane.asked)
    end
  end
  words[#words + 1] = ("held %d"):format(held)
  local queued = 0
  for _, count in pairs(queues) do queued = queued + count end
  if looks_at_queues then words[#words + 1] = ("queued %d"):format(queued) end
  if is_dead then words[#words + 1] = "dead" end
  return table.concat(words, "  ")
end

local function look()
  local now = world.look()
  seen = { status = now.status or seen.status, alerts = now.alerts or seen.alerts, mails = now.mails or seen.mails }
  queues = {}
  if looks_at_queues then
    for _, flow in ipairs(seen.status.flows) do queues[flow.flow] = world.queue(flow.flow) end
  end
  return now.status
end

local function frame()
  look()
  screen.draw(panel(), summary())
end

-- ---- the stream ----------------------------------------------------------------------------------------

local function open_publishers()
  publishers = {}
  for _, content_type in ipairs { "application/json", "text/plain" } do
    publishers[content_type] = world.publisher("backend.anomalies", content_type)
  end
end

--- Publishes what is due by now.
local function publish_until(t)
  while sent < #items and items[sent + 1].t <= t do
    sent = sent + 1
    local item = items[sent]
    publishers[item.content_type or "application/json"]:write(item.key, "\t", stream.body(item), "\n")
  end
  for _, publisher in pairs(publishers) do publisher:flush() end
end

local function close_publishers()
  for _, publisher in pairs(publishers) do
    if not publisher:close() then error({ reason = "the broker did not take what was published" }) end
  end
end

-- ---- the scenes ----------------------------------------------------------------------------------------

local function prepare()
  say("Starting a private RabbitMQ node on loopback", "The machine's own broker is not touched.")
  screen.draw({}, "in " .. folder)
  world.start_broker()
  world.declare_exchange "backend.anomalies"
  world.start_sandbox()
  world.configure()
  say("Starting the sandbox and the daemon", ("RabbitMQ :%s, OpsGenie :%s, mailbox :%s, all on 127.0.0.1"):format(
    world.port, world.places.opsgenie_api:match "%d+$", world.places.mailbox_smtp:match "%d+$"))
  screen.draw({}, "headgate run")
  world.start_daemon()
end

local function open_gates()
  items, parts = stream.make(SEED, plan)
  look()
  say("Opening both gates", "A new flow begins with its gate off: deploying is not releasing.")
  for _, flow in ipairs(seen.status.flows) do
    command("on", flow.flow, "--why", "the demo begins")
  end
end

local function close_gate()
  looks_at_queues = true
  command("off", "mail-contacts", "--why", "customer care asks for a pause")
  say("Switching mail-contacts off", "Its events wait in their queue at the broker; alerts go on.")
end

local function reopen_gate()
  local waiting = world.queue "mail-contacts"
  command("on", "mail-contacts", "--why", "customer care is ready")
  say("On again: they drain", ("%d events had waited in the queue."):format(waiting))
end

local function stop_looking_at_queues()
  looks_at_queues = false
end

local function deploy_careless()
  world.replace_in("rules/severity.lua", '{ why = "major", priority = "P3"', '{ why = "major", priority = "P2"')
  local text, ok = world.headgate("deploy", "rules/severity.lua", "--why", "a quick change")
  local failures = text:match "/ (%d+) failure"
  if ok or not failures then error({ reason = "deploy was to be refused by the spec", log = text }) end
  say("Changing the rule severity carelessly: refused",
    ("Beside the running release, %s of its spec's sentences were no longer true. Nothing changed."):format(failures))
end

local function release_of_severity()
  for _, release in ipairs(world.headgate_json("releases", "severity").releases) do
    if release.live then return release.release:sub(1, 12) end
  end
end

local function deploy_rule()
  local before = release_of_severity()
  world.replace_in("rules/severity.lua", '{ why = "major", priority = "P2"', '{ why = "major", priority = "P3"')
  world.replace_in("rules/severity.lua", '  { why = "critical, at a gold site"', [[
  { why = "a cabinet that overheats cannot wait", priority = "P1",
    when = function(report) return report.kind == "temperature" and report.severity >= 4 end },
  { why = "critical, at a gold site"]])
  command("deploy", "rules/severity.lua", "--why", "two cabinets burnt down in June")
  say("Changing the rule severity while everything runs",
    ("Its release was %s, now %s: a hot cabinet is P1."):format(before, release_of_severity()))
end

--- What was decided about a report: the step's answer and why, from its trail, and the priority that OpsGenie shows.
local function decision_about(report)
  local alert = world.alert(("%s:%s:%s"):format(report.kind, report.controller_id, report.episode)) or {}
  for _, run in ipairs(world.headgate_json("trace", report.controller_id).runs) do
    for _, step in ipairs(run.event == report.anomaly_id and run.steps or {}) do
      if step.step == "is_worth_an_alert" then
        return ("is_worth_an_alert %s: %s, %s"):format(step.answer and "yes" or "no", step.why,
          alert.priority or "no alert yet")
      end
    end
  end
  return "not run yet"
end

local function compare_decisions()
  say(("Two reports of %s that say the same, before and after"):format(parts.before.controller_id),
    "before: " .. decision_about(parts.before), "after: " .. decision_about(parts.after))
end

local function begin_outage()
  world.opsgenie_fault { match = { path_prefix = "/v2/alerts" }, times = -1, status = 503 }
  say("OpsGenie answers 503 to everything", "Its lane rests and probes; the effects wait on disk. Mails go on.")
end

local function end_outage()
  local waiting = 0
  for _, lane in ipairs(seen.status.lanes) do
    if lane.connection == "alerts" then waiting = lane.waiting end
  end
  world.opsgenie_fault(nil)
  say("OpsGenie is back", ("%d effects wait; after the next probe they go out, in order per key."):format(waiting))
end

--- So that some mails are between their last dot and the answer when the daemon dies.
local function slow_relay()
  world.mailbox_fault { phase = "dot", times = 4, delay_ms = 1500 }
end

local function kill_daemon()
  looks_at_queues = true
  world.kill_daemon()
  is_dead = true
  say("Killing the daemon with SIGKILL", "Events go on coming and wait at the broker. The relay is slow just now:",
    "some mails are on their way, and nobody may guess whether they arrive.")
end

local function restart_daemon()
  world.start_daemon()
  is_dead = false
  say("Starting it again", "What was committed is on disk; the broker delivers the rest again.")
end

local scenes = {
  { at = 3, play = close_gate },
  { at = 7.5, play = reopen_gate },
  { at = 9.5, play = stop_looking_at_queues },
  { at = 10, play = deploy_careless },
  { at = 12, play = deploy_rule },
  { at = 14.5, play = compare_decisions },
  { at = 16, play = begin_outage },
  { at = 20, play = end_outage },
  { at = 22.9, play = slow_relay },
  { at = 23.5, play = kill_daemon },
  { at = 26, play = restart_daemon },
}

local function play()
  say(("%d controllers are watched: %d events in %d s"):format(stream.controllers, #items, STREAM_S),
    "Raised, updated, cleared; flapping, repeated, late and malformed ones.")
  world.mailbox_fault { phase = "rcpt", to = stream.refused, times = -1, reply = "550 5.1.1 no such user" }
  open_publishers()
  stream_began_s = world.seconds()
  local next_scene = 1
  while sent < #items or next_scene <= #scenes do
    local t = world.seconds() - stream_began_s
    publish_until(t)
    if next_scene <= #scenes and scenes[next_scene].at <= t then
      scenes[next_scene].play()
      next_scene = next_scene + 1
    end
    frame()
    world.sleep(FRAME_S)
  end
  close_publishers()
end

-- ---- the end -------------------------------------------------------------------------------------------

local function has_drained(status, expected)
  if not status then return false end
  for _, flow in ipairs(status.flows) do
    if flow.received < expected[flow.flow].events or flow.waiting > 0 or flow.under_way > 0 then return false end
    if queues[flow.flow] ~= 0 then return false end
  end
  for _, lane in ipairs(status.lanes) do
    if lane.waiting > 0 or lane.under_way > 0 then return false end
  end
  return true
end

local function drain(expected)
  say("The stream is over: all that waits drains")
  looks_at_queues = true
  local until_s = world.seconds() + DRAIN_S
  repeat
    frame()
    world.sleep(FRAME_S)
    local is_over = has_drained(seen.status, expected)
  until is_over or world.seconds() > until_s
  frame()
end

local function print_all(lines)
  for _, line in ipairs(lines) do screen.print(line) end
end

local function title(text)
  screen.print("\n" .. screen.paint("bold", text) .. "\n")
end

--- What is held, its reasons counted.
local function print_held(held)
  local counts, order = {}, {}
  for _, item in ipairs(held) do
    local where = item.kind == "event" and item.flow or ("%s: %s"):format(item.connection, item.verdict)
    local name = where .. "\t" .. item.reason:gsub("^step [%w_]+: [%w/.-]+:%d+: ", "")
    if not counts[name] then order[#order + 1] = name end
    counts[name] = (counts[name] or 0) + 1
  end
  table.sort(order)
  local grid = { { "FLOW OR LANE", "HELD", "REASON" } }
  for _, name in ipairs(order) do
    local where, reason = name:match "^(.-)\t(.*)$"
    grid[#grid + 1] = { where, counts[name], reason }
  end
  title(("Held for a person: %d (headgate held)"):format(#held))
  print_all(screen.grid(grid, { [3] = true }))
end

local function print_balance(result, status)
  local of_flows, of_lanes = balance.books(status)
  title "The books (headgate status)"
  print_all(screen.grid(of_flows))
  screen.print ""
  print_all(screen.grid(of_lanes))
  title "What was published, against what arrived"
  for _, check in ipairs(result.checks) do
    screen.print((check.ok and screen.paint("green", "  ok  ") or screen.paint("red", "  NO  ")) .. check.text)
  end
  screen.print ""
  screen.print(result.ok and screen.paint("green", "The books balance: nothing was lost, nothing was done twice.")
    or screen.paint("red", "THE BOOKS DO NOT BALANCE: see the lines that begin with NO."))
end

local function finish()
  local expected = stream.expect(items)
  drain(expected)
  screen.close()
  local status = look() or error({ reason = "the daemon does not answer", log = world.log_of "daemon" })
  local held = world.headgate_json("held", "--limit", "1000").held
  local key = parts.through_the_crash.controller_id
  print_held(held)
  title(("A controller through the crash (headgate trace %s)"):format(key))
  screen.print((command("trace", key)))
  local result = balance.check(expected, status, held, world.alerts(), world.mails())
  print_balance(result, status)
  return result.ok
end

local function say_what_to_type()
  local lines = {
    "", "It goes on running.  What to type next:", "",
    ("  export HEADGATE_CONFIG=%s"):format(world.config),
    ("  export PATH=%s:%s/tools:$PATH"):format(build, build), "",
    "  headgate status",
    ("  headgate trace %s"):format(parts.through_the_crash.controller_id),
    "  headgate held",
    "  headgate off alert-operators --why \"trying it\"",
    ("  rabbit --port %s publish backend.anomalies ROUTING-KEY <event.json"):format(world.port),
    ("  curl %s/sandbox/mailbox/mails?limit=3"):format(world.places.mailbox_pages),
    ("  curl %s/sandbox/opsgenie/summary"):format(world.places.opsgenie_api),
    ("  tail %s/daemon.log"):format(folder), "",
    ("  %s/stop      ends it all and removes the folder"):format(folder), "",
  }
  io.write(table.concat(lines, "\n"))
end

local function tell()
  world.open(root, build, folder)
  began_s = world.seconds()
  screen.open(with_terminal == "yes")
  prepare()
  open_gates()
  play()
  local ok = finish()
  if keeps ~= "" then say_what_to_type() end
  return ok
end

local told, answer = pcall(tell)
if told then os.exit(answer and 0 or 1) end
if tostring(answer):find "interrupted!" then os.exit(130) end
screen.close()
local trouble = type(answer) == "table" and answer or { reason = tostring(answer) }
io.stderr:write("demo: ", trouble.reason, "\n", trouble.log and trouble.log .. "\n" or "")
os.exit(69)
