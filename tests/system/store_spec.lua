--- The store: one daemon for it, never too full, and a configuration that says what is wrong with it.
local kit = require "kit"

describe("a data folder", function()
  after_each(kit.tidy)

  it("takes one daemon: a second one is refused with 75, and the first goes on", function()
    local world = kit.world()
    world:story()
    world:start()
    local _, complaint, code = world:headgate("run")
    assert.equal(75, code)
    assert.truthy(complaint:find(world.config.data, 1, true), complaint)
    assert.is_true(world:status().ready)
  end)

  local big = [[return { run = function(event)
    alerts.create { alias = event.id, message = event.id, description = event.body.text }
  end }]]

  --- A world whose store of 8 MiB is filled by `many` events of 14 KB while OpsGenie is down; so slowly that the
  --- sources are paused before all of them are in.
  local function filled(many)
    local world = kit.world()
    world.config.store = { limit = "8MiB" }
    world.config.connections.broker.prefetch = 50
    world:flow("big", { manifest = "uses: [alerts]", lua = big })
    world:start()
    world:open "big"
    world:opsgenie_fault { match = { method = "POST" }, status = 503, body = '{"message":"closed"}', times = -1 }
    local lines = {}
    for i = 1, many do
      lines[i] = "any\t" .. kit.json.encode { id = ("B-%d"):format(i), text = ("x"):rep(14000) }
    end
    local publisher = world.broker:pour(world.exchange, lines, 400, world.folder)
    kit.wait("the store to be full", 30, function()
      local store = world:status().store
      return store.state ~= "ok", store.state .. " " .. store.used_bytes
    end)
    world:says "sources are paused"
    assert.equal(0, publisher:ended(30))
    kit.wait("the rest to wait at the broker", 15, function() return world.broker:count(world:queue "big") > 0 end)
    assert.is_true(world:flow_status("big").received < many)
    world:balances()
    return world
  end

  local function drains(world, many)
    world:opsgenie_heals()
    world:counts("big", { received = many, finished = many, held = 0 }, 60)
    world:lane_counts("alerts", { delivered = many, held = 0 }, 60)
    world:settle()
    assert.equal(many, #world:alerts())
  end

  it("that is full pauses the sources, loses nothing, and drains by itself when it can", function()
    local world = filled(1300)
    drains(world, 1300)
    world:says "sources go on"
    kit.wait("the store to be well", 15, function() return world:status().store.state == "ok" end)
  end)

  it("keeps in sight what waits for a connection that is gone from the configuration", function()
    local world = kit.world()
    world:flow("orders", { manifest = "uses: [alerts]", lua = [[return { run = function(event)
      alerts.create { alias = event.id, message = "waits" }
    end }]] })
    world:start()
    world:opsgenie_fault { status = 503, times = -1 }
    world:open "orders"
    world:publish({ { id = "O-1" }, { id = "O-2" } }, "any")
    world:counts("orders", { finished = 2 })
    world:stop(30)
    local alerts = world.config.connections.alerts
    world.config.connections.alerts = nil
    world:start()
    assert.matches("connection alerts is not in .*2 of its effects wait", table.concat(world:status().notes, "\n"))
    assert.matches("2 of its effects wait", world:log())
    world:stop(30)
    world.config.connections.alerts = alerts
    world:opsgenie_heals()
    world:start()
    world:lane_counts("alerts", { delivered = 2 }, 30)
    world:settle(30)
  end)

  it("that is full while the daemon is killed loses nothing either", function()
    local world = filled(1300)
    world:kill()
    world:start()
    assert.are_not.equal("ok", world:status().store.state)
    world:balances()
    drains(world, 1300)
  end)
end)

describe("a configuration", function()
  after_each(kit.tidy)

  local function complaint_about(text, command)
    local world = kit.world()
    kit.write(world.folder .. "/headgate.yaml", text)
    local output, complaint, code = world:headgate(command or "check")
    return output .. complaint, code, world
  end

  it("that is wrong ends everything with 78, and the file, line and column of the mistake", function()
    for _, command in ipairs { "check", "run" } do
      local said, code = complaint_about("environment: x\ndata: d\nconnections:\n  mail: {adapter: smtpp}\n", command)
      assert.equal(78, code, said)
      assert.matches("headgate%.yaml:4:%d+: .*smtpp", said)
    end
    local cases = {
      ["unknown key"] = { "environment: x\ndata: d\ndatta: e\n", "headgate%.yaml:3:1: .*datta" },
      ["wrong type"] = { "environment: x\ndata: d\nstore: {limit: much}\n", "headgate%.yaml:3:%d+: .*much" },
      ["duplicate"] = { "environment: x\ndata: d\ndata: e\n", "headgate%.yaml:3:1: " },
      ["tab"] = { "environment: x\n\tdata: d\n", "headgate%.yaml:2:1: .*tab" },
      ["secret"] = { "environment: x\ndata: d\nconnections:\n  a: {adapter: opsgenie, key: '${env:NO_SUCH_SECRET}'}\n",
        "headgate%.yaml:4:%d+: .*NO_SUCH_SECRET" },
      ["bomb"] = { "a: &a [x,x]\nb: &b [*a,*a]\nenvironment: x\ndata: d\n", "headgate%.yaml:%d+:%d+: " },
    }
    for name, case in pairs(cases) do
      local said, code = complaint_about(case[1])
      assert.equal(78, code, name .. ": " .. said)
      assert.matches(case[2], said)
    end
  end)

  it("and flows that are good pass the check with 0; a flow that is broken fails it with 65", function()
    local world = kit.world()
    world:story()
    world:configure()
    local output, complaint, code = world:headgate("check")
    assert.equal(0, code, output .. complaint)
    assert.is_true(world:ask("check", "--json").ok)
    kit.write(world.folder .. "/flows/mail-contacts/flow.lua", "return {")
    output, complaint, code = world:headgate("check")
    assert.equal(65, code)
    assert.matches("mail%-contacts", output .. complaint)
    assert.is_false(world:ask("check", "--json").ok)
  end)
end)
