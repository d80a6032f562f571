--- Running it: the admin API on TCP, health, metrics, logs, the service manager, reload.
local kit = require "kit"
local process = require "process"
local exposition = require "exposition"
local anomaly = kit.anomaly
local build = os.getenv "BUILD" or "build"

local tokens = {
  viewer = "watcher-token-0123456789", operator = "night-shift-token-0123", admin = "ada-token-0123456789abcdef",
}

--- A world whose admin API is on TCP, too, with one token of each role.
local function world_on_tcp()
  local world = kit.world()
  world:story()
  process.write(world.folder .. "/ada.token", tokens.admin .. "\n")
  process.write(world.folder .. "/tokens.yaml", ([[
- {name: watcher, role: viewer, token: "%s"}
- {name: night-shift, role: operator, token: "%s"}
- {name: ada, role: admin, token: "${file:ada.token}"}
]]):format(tokens.viewer, tokens.operator))
  kit.shell("chmod 600 %s", world.folder .. "/tokens.yaml")
  world.config.admin = { listen = "127.0.0.1:0", tokens = "tokens.yaml" }
  return world
end

local function place(world)
  return kit.wait("the admin API to be on TCP", 10, function()
    return world:log():match "admin API: (http://[%d.:]+)/"
  end)
end

--- Asks over TCP: the status, the body.  `options`: token, method, body.
local function ask(world, path, options)
  options = options or {}
  local argv = { "curl", "-s", "--noproxy", "*", "-w", "\n%{http_code}", "-X", options.method or "GET",
    place(world) .. path }
  if options.accept then table.move({ "-H", "Accept: " .. options.accept }, 1, 2, #argv + 1, argv) end
  if options.token then table.move({ "-H", "Authorization: Bearer " .. options.token }, 1, 2, #argv + 1, argv) end
  if options.body then table.move({ "-d", options.body }, 1, 2, #argv + 1, argv) end
  local output = process.run(argv)
  local body, status = output:match "^(.*)\n(%d+)$"
  return tonumber(status), body
end

describe("the admin API on TCP", function()
  after_each(kit.tidy)

  it("lets each token do what its role may, and keeps its name in the audit", function()
    local world = world_on_tcp()
    world:start()
    local why = { method = "POST", body = '{"why":"because"}' }
    local function status(path, options, token)
      return (ask(world, path, { method = options.method, body = options.body, token = token }))
    end
    assert.equal(401, status("/v1/status", {}))
    assert.equal(401, status("/v1/status", {}, "wrong-token-0123456789"))
    assert.equal(401, status("/v1/status", {}, ""))
    assert.equal(200, status("/v1/status", {}, tokens.viewer))
    assert.equal(401, status("/v1/flows/alert-operators/on", why))
    assert.equal(403, status("/v1/flows/alert-operators/on", why, tokens.viewer))
    assert.equal("off", world:flow_status("alert-operators").gate)
    assert.equal(200, status("/v1/flows/alert-operators/on", why, tokens.operator))
    assert.equal("on", world:flow_status("alert-operators").gate)
    assert.equal(403, status("/v1/deploy", why, tokens.operator))
    assert.equal(400, status("/v1/deploy", why, tokens.admin))
    local newest = world:ask("audit", "--json").audit[1]
    assert.equal("night-shift", newest.who)
    local log = world:log()
    for _, token in pairs(tokens) do assert.falsy(log:find(token, 1, true)) end
    assert.falsy(log:find("wrong-token", 1, true))
  end)

  it("says who is too many when a file of tokens is open to all", function()
    local world = world_on_tcp()
    kit.shell("chmod 644 %s", world.folder .. "/tokens.yaml")
    world:configure()
    local _, complaint, code = world:headgate("check")
    assert.equal(78, code)
    assert.matches("lets every user of this machine in", complaint)
  end)

  it("tells its health to everybody", function()
    local world = world_on_tcp()
    world:start()
    world:open "alert-operators"
    assert.equal(200, ask(world, "/livez"))
    local status, body = ask(world, "/readyz")
    assert.equal(200, status)
    assert.same({ ready = true, reasons = {} }, kit.json.decode(body))
  end)
end)

--- The metrics of now: two scrapes apart by more than the books are kept.
local function scrape(world, options)
  local status, text = ask(world, "/metrics", options)
  assert.equal(200, status)
  return exposition.parse(text, options and options.accept ~= nil)
end

local function await_value(world, wanted, name, labels)
  local is
  kit.wait(name .. " to be " .. wanted, 15, function()
    is = scrape(world):value(name, labels)
    return is == wanted, tostring(is)
  end)
end

describe("the metrics", function()
  after_each(kit.tidy)

  it("have every label set from the start, with 0, and are valid line by line in both formats", function()
    local world = world_on_tcp()
    world:flow("nasty", { keys = "none", lua = "return { run = function() end }", yaml = [[
flow: nasty
title: Has an owner with quotes
owner: "\\ \"quoted\" ünd"
on: {broker: {exchange: EXCHANGE, keys: [none]}}
event: {id: body.id}
expect: at least 1 per 1h
]] })
    world:start()
    local page = scrape(world)
    for _, outcome in ipairs { "finished", "repeat", "dropped", "discarded", "expired" } do
      assert.equal(0, page:value("headgate_events_finished_total", { flow = "mail-contacts", outcome = outcome }))
    end
    for _, outcome in ipairs { "delivered", "held", "refused", "superseded" } do
      assert.equal(0, page:value("headgate_effects_total",
        { destination = "mail", flow = "mail-contacts", outcome = outcome }))
    end
    for _, result in ipairs { "done", "later", "never", "unknown" } do
      assert.equal(0, page:value("headgate_effect_attempts_total", { destination = "alerts", result = result }))
    end
    assert.equal(0, page:value("headgate_effect_latency_seconds_count", { destination = "mail" }))
    assert.equal(1, page:value("headgate_gate_state", { flow = "nasty", state = "off" }))
    assert.equal(0, page:value("headgate_gate_state", { flow = "nasty", state = "tripped" }))
    assert.equal(0, page:value("headgate_parked_effects", { destination = "mail" }))
    assert.equal(0, page:value("headgate_flow_silent", { flow = "nasty" }))
    assert.equal(0, page:value("headgate_conservation_difference", { flow = "nasty" }))
    assert.equal(math.huge, page:value "headgate_store_outage_seconds")
    assert.is_true(page:value "process_resident_memory_bytes" > 1e6)
    assert.is_true(page:value "process_open_fds" > 5)
    assert.is_true(math.abs(page:value "process_start_time_seconds" - os.time()) < 60)
    assert.is_true(page:value "headgate_store_limit_bytes" == 64 * 2^30)
    local found
    for _, line in ipairs(page.lines) do
      if line.name == "headgate_flow_info" and line.labels.flow == "nasty" then found = line.labels.owner end
    end
    assert.equal('\\ "quoted" ünd', found)
    scrape(world, { accept = "application/openmetrics-text; version=1.0.0,text/plain;q=0.5" })
  end)

  it("count what happens, and agree with the books", function()
    local world = world_on_tcp()
    world.config.connections.alerts.rate = "1000/h"
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:opsgenie_fault { match = { method = "POST" }, status = 500, body = "{}", times = 1 }
    local events = {}
    for i = 1, 5 do events[i] = anomaly.new { controller_id = "CTRL-" .. i, state = "raised" } end
    world:publish(events)
    world:publish { events[1] }
    world:publish({ "no json" }, "anomaly.offline.raised")
    world:await_held(2)
    world:settle(30)
    await_value(world, 7, "headgate_messages_received_total", { flow = "alert-operators" })
    local page, status = scrape(world), world:status()
    assert.equal(1, page:value("headgate_events_finished_total", { flow = "alert-operators", outcome = "repeat" }))
    assert.equal(1, page:value("headgate_events", { flow = "alert-operators", state = "held" }))
    assert.equal(1, page:value("headgate_effect_attempts_total", { destination = "alerts", result = "later" }))
    assert.equal((world:lane("alerts").delivered + 1) / 1000,
      page:value("headgate_quota_used_ratio", { destination = "alerts", window = "h" }))
    for _, lane in ipairs(status.lanes) do
      local destination = lane.connection
      assert.equal(lane.asked, page:value("headgate_effects_asked_total", { destination = destination }))
      assert.equal(lane.delivered, page:value("headgate_effect_latency_seconds_count", { destination = destination }))
      assert.equal(0, page:value("headgate_lane_conservation_difference", { destination = destination }))
      assert.equal(0, page:value("headgate_outbox_oldest_seconds", { destination = destination }))
    end
    assert.equal(world:lane("mail").delivered, page:value("headgate_effects_total",
      { destination = "mail", flow = "mail-contacts", outcome = "delivered" }))
  end)

  it("need a token where the listener is not on loopback alone", function()
    local world = world_on_tcp()
    world.config.admin.listen = "0.0.0.0:0"
    world:start()
    world:says "put a proxy with TLS in front"
    local port = world:log():match "admin API: http://0.0.0.0:(%d+)/"
    local function status(...)
      local output = process.run { "curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
        "http://127.0.0.1:" .. port .. "/metrics", ... }
      return tonumber(output)
    end
    assert.equal(401, status())
    assert.equal(200, status("-H", "Authorization: Bearer " .. tokens.viewer))
  end)
end)

describe("a flow that expects events", function()
  after_each(kit.tidy)

  it("is silent without them, once, until they come again", function()
    local world = world_on_tcp()
    world:flow("pulse", { keys = "beat", manifest = "expect: at least 1 per 2s",
      lua = "return { run = function() end }" })
    world:start()
    world:open "pulse"
    world:says "flow pulse: is silent: it expects at least 1 in 2s; no event ever came"
    assert.is_true(world:flow_status("pulse").is_silent)
    assert.matches("flow pulse is silent", world:must "status")
    await_value(world, 1, "headgate_flow_silent", { flow = "pulse" })
    world:publish({ { id = "1" } }, "beat")
    world:says "flow pulse: is not silent any more"
    world:counts("pulse", { received = 1, is_silent = false })
    local _, times = world:log():gsub("is silent:", "")
    assert.equal(1, times)
    world:stop()
    process.write(world.folder .. "/daemon.log", "")
    world:start()
    assert.is_false(world:flow_status("pulse").is_silent)
    assert.is_true(world:flow_status("pulse").last_event_at > 0)
    world:says "flow pulse: is silent: it expects at least 1 in 2s; the last event came at 20"
    world:close "pulse"
    assert.is_false(world:flow_status("pulse").is_silent)
  end)
end)

describe("readiness", function()
  after_each(kit.tidy)

  it("ends with the reason while the daemon drains, and what is under way ends well", function()
    local world = world_on_tcp()
    world:start()
    world:open "alert-operators"
    world:opsgenie_fault { match = { method = "POST" }, delay_ms = 1500 }
    world:publish { anomaly.new { controller_id = "CTRL-1", state = "raised" } }
    kit.wait("a delivery to be under way", 10, function() return world:lane("alerts").under_way > 0 end)
    world.daemon:kill "TERM"
    kit.wait("the node to be unready", 5, function()
      local status, body = ask(world, "/readyz")
      return status == 503 and body:find("the daemon is stopping", 1, true)
    end)
    assert.equal(200, ask(world, "/livez"))
    assert.equal(503, ask(world, "/v1/flows/alert-operators/off",
      { method = "POST", body = '{"why":"too late"}', token = tokens.operator }))
    assert.equal(0, world.daemon:ended())
    world:opsgenie_heals()
    world:start()
    world:lane_counts("alerts", { asked = 1, delivered = 1 })
    assert.equal(1, #world:requests "POST")
  end)

  it("is refused by a source that a person must mend", function()
    local world = world_on_tcp()
    world:flow("lost", { lua = "return { run = function() end }", yaml = [[
flow: lost
title: Listens to what is not there
owner: nobody
on: {broker: {exchange: no.such.exchange, keys: ["#"]}}
event: {id: body.id}
]] })
    world:start()
    assert.equal(200, ask(world, "/readyz"))
    world:must("on", "lost", "--why", "to see")
    kit.wait("the node to be unready", 10, function()
      local status, body = ask(world, "/readyz")
      return status == 503 and body:find("flow lost: a source is refused", 1, true)
    end)
  end)
end)

describe("the log", function()
  after_each(kit.tidy)

  it("has the journal's levels, or is JSON with what each line is about", function()
    local world = kit.world()
    world:story()
    world:start("--log", "journal")
    world:stop()
    for line in world:log():gmatch "[^\n]+" do assert.matches("^<[3-7]>", line) end
    process.write(world.folder .. "/daemon.log", "")
    world:start()
    world:open "alert-operators"
    world:publish({ "no json" }, "anomaly.offline.raised")
    world:await_held(1)
    local about = {}
    for line in world:log():gmatch "[^\n]+" do
      local entry = kit.json.decode(line)
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", entry.time)
      if entry.level == "warning" and entry.flow then about[entry.flow] = entry.text end
    end
    assert.matches("is held as 1", about["alert-operators"])
    local _, complaint, code = world:headgate("run", "--log", "xml")
    assert.equal(64, code)
    assert.matches("text, json or journal", complaint)
  end)
end)

describe("the service manager", function()
  after_each(kit.tidy)

  it("hears when the daemon is ready, that it is alive, and when it stops", function()
    local world = kit.world()
    local socket, heard = world.folder .. "/notify", world.folder .. "/heard"
    process.start("the service manager", { build .. "/tools/listen", socket, heard },
      { log = world.folder .. "/listen.log" })
    kit.wait("the service manager", 5, function() return os.execute("test -S " .. process.quote(socket)) end)
    local function hears(text)
      kit.wait("the service manager to hear " .. text, 10, function()
        return ("\n" .. (process.read(heard) or "")):find("\n" .. text, 1, true)
      end)
    end
    world.env = { NOTIFY_SOCKET = socket, WATCHDOG_USEC = "200000" }
    world:start()
    hears "READY=1"
    hears "STATUS=ready"
    hears "WATCHDOG=1"
    world:stop()
    hears "STOPPING=1"
  end)
end)

describe("a reload", function()
  after_each(kit.tidy)

  local function raised(from, to)
    local events = {}
    for i = from, to do
      local controller = "CTRL-" .. i
      events[#events + 1] = anomaly.new { controller_id = controller, state = "raised", site = { contacts = {
        { name = "Contact", language = "en", email = controller:lower() .. "@example.com" } } } }
    end
    return events
  end

  local function configured(world)
    world:configure()
    world.daemon:kill "HUP"
  end

  it("takes a new secret and new settings while events flow: nothing is lost, nothing comes twice", function()
    local world = world_on_tcp()
    process.write(world.folder .. "/opsgenie.key", "expired-key-0123")
    world.config.connections.alerts.key = "${file:opsgenie.key}"
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:publish(raised(1, 100))
    kit.wait("the lane to pause", 15, function() return world:lane("alerts").state == "paused" end)
    process.write(world.folder .. "/opsgenie.key", "sandbox")
    world.config.connections.broker.prefetch = 17
    world.config.connections.mail.concurrency = 2
    world:publish(raised(101, 200))
    configured(world)
    world:publish(raised(201, 300))
    for _, name in ipairs { "alerts", "broker", "mail" } do
      world:says("reload: connection " .. name .. ": changed: closed, and opened again")
    end
    world:counts("alert-operators", { finished = 300 }, 30)
    world:counts("mail-contacts", { finished = 300 }, 30)
    world:settle(30)
    assert.equal(300, #world:alerts())
    for i = 1, 300 do assert.equal(1, world:recipients()["ctrl-" .. i .. "@example.com"].mails) end
    assert.equal(0, #world:held())
    local status = world:status()
    assert.is_true(status.reload.ok)
    assert.equal("SIGHUP", world:ask("audit", "--json").audit[1].who)
    assert.falsy(world:log():find("expired-key-0123", 1, true))
    assert.equal(1, scrape(world):value "headgate_reload_last_result")
  end)

  it("that finds anything wrong changes nothing, and everything goes on", function()
    local world = world_on_tcp()
    world:start()
    world:open "alert-operators"
    local good = kit.json.encode(world.config)
    local function refused(change, sentence)
      change(world.config)
      world:configure()
      local _, complaint, code = world:headgate("reload", "--socket", world.folder .. "/data/admin.sock")
      assert.equal(1, code)
      assert.matches(sentence, complaint)
      world.config = kit.json.decode(good)
    end
    refused(function(config) config.connections.mail.prot = 25 end, 'unknown key "prot"')
    refused(function(config) config.connections.alerts = nil end,
      "connection alerts is gone, but flow alert%-operators uses it")
    refused(function(config) config.data = world.folder .. "/other" end, "`data` has changed, and that needs a restart")
    refused(function(config) config.connections.mail = config.connections.alerts end,
      "another adapter under the same name")
    refused(function(config) config.connections.alerts.api = "ftp://nowhere" end, "connection alerts")
    process.write(world.folder .. "/headgate.yaml", "connections: [")
    world.daemon:kill "HUP"
    world:says "expected"
    world:configure()
    assert.is_false(world:status().reload.ok)
    assert.matches("the reload at .* failed, and nothing was changed", world:must "status")
    assert.equal(0, scrape(world):value "headgate_reload_last_result")
    world:publish(raised(1, 3))
    world:counts("alert-operators", { finished = 3 })
    assert.equal("nothing has changed\n", world:must "reload")
    assert.is_true(world:status().reload.ok)
  end)

  it("opens what is new, closes what nobody uses, and brings it back", function()
    local world = world_on_tcp()
    world:start()
    world.config.connections.spare = { adapter = "smtp", url = world.smtp, from = "Spare <spare@example.com>" }
    process.write(world.folder .. "/ada.token", "ada-has-a-new-token-012345")
    world:configure()
    assert.equal("tokens: 3, as the file says now\nconnection spare: new: opened\n", world:must "reload")
    assert.equal(401, ask(world, "/v1/status", { token = tokens.admin }))
    assert.equal(200, ask(world, "/v1/status", { token = "ada-has-a-new-token-012345" }))
    world:flow("spare-user", { keys = "spare", manifest = "uses: [spare]", lua = [[
return { run = function(event)
  spare.send { to = "a@example.com", subject = event.id, text = "hello" }
end }]] })
    world:must("deploy", world.folder .. "/flows/spare-user")
    world:open "spare-user"
    world:publish({ { id = "1" } }, "spare")
    world:lane_counts("spare", { delivered = 1 })
    local spare = world.config.connections.spare
    world.config.connections.spare = nil
    world:configure()
    assert.equal(1, (select(3, world:headgate "reload")))
    world:flow("spare-user", { keys = "spare", lua = "return { run = function() end }" })
    world:must("deploy", world.folder .. "/flows/spare-user")
    assert.equal("connection spare: gone: closed\n", world:must "reload")
    assert.equal(3, #world:status().lanes)
    world.config.connections.spare = spare
    world:configure()
    assert.equal("connection spare: new: opened\n", world:must "reload")
    assert.equal(1, world:lane("spare").delivered)
    world:balances()
  end)
end)
