--- Manners at the broker: no queue of somebody else is ever consumed by accident.
local kit = require "kit"

local count = [[return { run = function() end }]]

local function orders(world, source, manifest)
  world:flow("orders", { lua = count, yaml = [[
flow: orders
title: A flow of the tests
owner: nobody
on: {broker: ]] .. source .. [[}
event: {id: body.id}
]] .. (manifest or "") })
end

local function bodies(from, to)
  local list = {}
  for i = from, to do list[#list + 1] = { id = "O-" .. i } end
  return list
end

local function is_refused(world, words, seconds)
  kit.wait("the source to be refused", seconds or 20, function()
    local flow = world:flow_status "orders"
    return flow.is_refused, flow.source
  end)
  local said = world:flow_status("orders").source
  assert.truthy(said:find(words, 1, true), said)
  assert.truthy(world:log():find(words, 1, true))
end

local function listens(world, seconds)
  kit.wait("the flow to listen", seconds or 15, function()
    local flow = world:flow_status "orders"
    return flow.is_listening, flow.source
  end)
end

local function doctor_finds(world, words)
  local output, _, code = world:headgate("doctor")
  assert.equal(1, code, output)
  assert.truthy(output:find(words, 1, true), output)
end

describe("a queue of somebody else", function()
  after_each(kit.tidy)

  it("is not consumed when a flow only names it", function()
    local world = kit.world()
    world.broker:rabbit("declare-queue", world.exchange .. ".theirs")
    orders(world, ("{queue: %s.theirs}"):format(world.exchange))
    world:start()
    world:headgate("on", "orders", "--why", "test")
    world.broker:publish("-", world.exchange .. ".theirs", { '{"id":"1"}' })
    local output, complaint = world:headgate("check")
    local all = output .. complaint .. world:log() .. world:must("status")
    assert.truthy(all:find("because", 1, true), all)
    assert.equal(1, world.broker:count(world.exchange .. ".theirs"))
  end)

  it("is consumed when the flow adopts it and says why; that is said loudly", function()
    local world = kit.world()
    local theirs = world.exchange .. ".theirs"
    world.broker:rabbit("declare-queue", theirs)
    orders(world, ("{queue: %s, because: agreed with the shop team}"):format(theirs))
    world:start()
    world:must("on", "orders", "--why", "test")
    listens(world)
    world.broker:publish("-", theirs, { '{"id":"1"}' })
    world:counts("orders", { finished = 1 })
    assert.matches("because: agreed with the shop team", world:flow_status("orders").source)
    assert.matches('"warning"[^\n]*agreed with the shop team', world:log())
    assert.truthy(world:headgate("doctor"):find("agreed with the shop team", 1, true))
  end)

  it("is refused although it has the name of ours: this node did not declare it", function()
    local world = kit.world()
    world.broker:rabbit("declare-queue", world:queue "orders")
    world.broker:publish("-", world:queue "orders", { '{"id":"1"}' })
    orders(world, ("{exchange: %s}"):format(world.exchange))
    world:start()
    world:must("on", "orders", "--why", "test")
    is_refused(world, world:queue "orders")
    assert.equal(1, world.broker:count(world:queue "orders"))
    doctor_finds(world, world:queue "orders")
    world:counts("orders", { received = 0 })
  end)
end)

describe("another consumer on our queue", function()
  after_each(kit.tidy)

  it("keeps us away, and misses nothing", function()
    local world = kit.world()
    orders(world, ("{exchange: %s}"):format(world.exchange))
    world:start()
    world:open "orders"
    world:close "orders"
    kit.wait("our consumer to be gone", 10, function()
      return world:ask("doctor", "--json") and world:headgate("doctor"):find("0, ours included", 1, true)
    end)
    local stranger = world.broker:stranger("consume", world:queue "orders", world.folder)
    kit.wait("the stranger to consume", 10, function()
      return world:headgate("doctor"):find("consumers    1", 1, true)
    end)
    world:must("on", "orders", "--why", "test")
    is_refused(world, "consumer")
    world:publish(bodies(1, 20), "order")
    kit.wait("the stranger to have all", 10, function()
      local _, many = (kit.read(world.folder .. "/stranger.out") or ""):gsub("\n", "")
      return many == 20, many .. " of 20"
    end)
    world:counts("orders", { received = 0 })
    stranger:kill "KILL"
    stranger:ended()
    listens(world, 40)
    world:publish(bodies(21, 22), "order")
    world:counts("orders", { finished = 2 })
  end)
end)

describe("an exchange that is missing", function()
  after_each(kit.tidy)

  it("is said, not made; when it is there the flow goes on by itself", function()
    local world = kit.world { exchange = false }
    orders(world, ("{exchange: %s}"):format(world.exchange))
    world:start()
    world:must("on", "orders", "--why", "test")
    is_refused(world, world.exchange)
    doctor_finds(world, world.exchange)
    world.broker:exchange(world.exchange)
    listens(world, 40)
    world:publish(bodies(1, 3), "order")
    world:counts("orders", { finished = 3 })
  end)
end)

describe("a stranger among the messages", function()
  after_each(kit.tidy)

  it("is put back and stops the flow before anything was done with it", function()
    local world = kit.world()
    orders(world, ("{exchange: %s, type: order.placed}"):format(world.exchange))
    world:start()
    world:open "orders"
    world:publish(bodies(1, 2), "order", { type = "order.placed" })
    world:counts("orders", { finished = 2 })
    world:publish(bodies(3, 3), "order", { type = "invoice.sent" })
    is_refused(world, "invoice.sent")
    world:publish(bodies(4, 5), "order", { type = "order.placed" })
    kit.wait("all three to be in the queue", 10, function() return world.broker:count(world:queue "orders") == 3 end)
    world:counts("orders", { received = 2, finished = 2, held = 0 })
    assert.truthy(world:must("status"):find("invoice.sent", 1, true))

    local first = world.broker:rabbit("consume", world:queue "orders", "--count", "1", "--timeout-ms", "5000")
    assert.equal("invoice.sent", kit.json.decode(first).properties.type)
    world:close "orders"
    world:open "orders"
    world:counts("orders", { finished = 4 })
    world:settle()
  end)
end)
