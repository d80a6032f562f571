--- Gates: deploying is not releasing; off is off at once, and loses nothing.
local kit = require "kit"

local publish = [[return { run = function(event)
  broker.publish { exchange = "", key = event.body.to, body = { id = event.id } }
end }]]

local function world_with(manifest)
  local world = kit.world()
  world.sink = world.exchange .. ".sink"
  world.broker:rabbit("declare-queue", world.sink)
  world:flow("orders", { manifest = "uses: [broker]\n" .. (manifest or ""), lua = publish })
  world:start()
  return world
end

local function bodies(world, from, to)
  local list = {}
  for i = from, to do list[#list + 1] = { id = "O-" .. i, to = world.sink } end
  return list
end

describe("a gate", function()
  after_each(kit.tidy)

  it("of a new flow is off", function()
    local world = world_with()
    assert.equal("off", world:flow_status("orders").gate)
  end)

  it("that is off keeps the messages in the flow's queue at the broker, and on lets them through", function()
    local world = world_with()
    world:open "orders"
    world:publish(bodies(world, 1, 3), "order")
    world:counts("orders", { finished = 3 })
    world:close "orders"
    world:publish(bodies(world, 4, 10), "order")
    assert.equal(7, world.broker:count(world:queue "orders"))
    world:counts("orders", { received = 3, finished = 3 })
    world:balances()
    world:open "orders"
    world:counts("orders", { received = 10, finished = 10 })
    world:settle()
    assert.equal(10, world.broker:count(world.sink))
  end)

  it("that is closed and opened in the middle of the traffic loses nothing and does nothing twice", function()
    local world = world_with()
    world:open "orders"
    local lines = {}
    for _, body in ipairs(bodies(world, 1, 1500)) do lines[#lines + 1] = "order\t" .. kit.json.encode(body) end
    local publisher = world.broker:pour(world.exchange, lines, 600, world.folder)
    for _ = 1, 6 do
      local before = world:flow_status("orders").finished
      kit.wait("more events", 15, function()
        return world:flow_status("orders").finished > before or not publisher:is_running()
      end)
      world:close "orders"
      world:balances()
      world:open "orders"
    end
    assert.equal(0, publisher:ended(30))
    world:counts("orders", { finished = 1500 }, 30)
    world:settle()
    assert.equal(1500, world.broker:count(world.sink))
  end)

  it("of a flow that drops counts what it drops", function()
    local world = world_with "when_off: drop"
    kit.wait("the flow to listen", 15, function() return world:flow_status("orders").is_listening end)
    world:publish(bodies(world, 1, 4), "order")
    world:counts("orders", { received = 4, finished = 0, skipped = { dropped = 4 } })
    assert.matches("orders  event O%-3  dropped\n    the gate was off", world:must("trace", "O-3"))
    world:publish(bodies(world, 3, 3), "order")
    world:counts("orders", { received = 5, skipped = { dropped = 5 } })
    assert.matches("event O%-3  dropped, 2 times, this was the last\n", world:must("trace", "O-3"))
    assert.matches("not run of orders: 5 dropped while the gate was off\n", world:must "status")
    world:open "orders"
    world:publish(bodies(world, 5, 5), "order")
    world:counts("orders", { received = 6, finished = 1 })
    world:settle()
    assert.equal(1, world.broker:count(world.sink))
  end)

  it("stays as it is over a stop and over a crash", function()
    local world = world_with()
    world:open "orders"
    world:stop()
    world:start()
    assert.equal("on", world:flow_status("orders").gate)
    world:publish(bodies(world, 1, 1), "order")
    world:counts("orders", { finished = 1 })
    world:close "orders"
    world:kill()
    world:start()
    assert.equal("off", world:flow_status("orders").gate)
    world:publish(bodies(world, 2, 2), "order")
    assert.equal(1, world.broker:count(world:queue "orders"))
  end)

  it("is changed with a reason only, which is kept with who and when", function()
    local world = world_with()
    local output, complaint, code = world:headgate("on", "orders")
    assert.equal(64, code, output)
    assert.matches("say why", complaint)
    output, complaint, code = world:headgate("on", "nobody", "--why", "test")
    assert.equal(1, code, output)
    assert.matches("there is no flow nobody", complaint)

    world:must("on", "orders", "--why", "approved by Ada")
    world:must("off", "orders", "--why", "complaints")
    local audit = world:ask("audit", "--json").audit
    assert.equal("complaints", audit[1].why)
    assert.equal("on -> off", audit[1].text)
    assert.equal("approved by Ada", audit[2].why)
    assert.equal("orders", audit[2].subject)
    local user = kit.run { "id", "-un" }:match "%S+"
    assert.equal(user, audit[2].who)
    assert.truthy(math.abs(audit[2].at / 1000 - os.time()) < 60 * 10)
    assert.equal("deploy", audit[3].what)
  end)
end)
