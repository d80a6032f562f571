--- Running it: the admin API on TCP, health, metrics, logs, the service manager, reload.
local kit = require "kit"
local process = require "process"
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
