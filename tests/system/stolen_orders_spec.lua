--- The stolen orders: a team pointed its program at a queue that another team's program was consuming from, and
--- production orders went to the wrong program.  Here the same mistake takes nothing from anybody.
local kit = require "kit"

local ORDERS = 300

local function flow(world, source)
  world:flow("orders", { lua = "return { run = function() end }", yaml = ([[
flow: orders
title: Looks at the shop's orders
owner: another team
on: {broker: %s}
event: {id: body.id}
]]):format(source) })
end

--- The shop's program at work: its queue, its consumer, orders coming in all the time.
local function shop(world, queue)
  local lines = {}
  world.broker:rabbit("declare-queue", queue)
  world.broker:rabbit("bind", queue, world.exchange, "order.#")
  for i = 1, ORDERS do lines[i] = ('order.new\t{"id":"O-%d"}'):format(i) end
  local program = world.broker:stranger("consume", queue, world.folder)
  return program, function() return world.broker:pour(world.exchange, lines, 100, world.folder) end
end

local function taken(world)
  local ids, count = {}, 0
  for id in (kit.read(world.folder .. "/stranger.out") or ""):gmatch "O%-(%d+)" do
    if not ids[id] then ids[id], count = true, count + 1 end
  end
  return count
end

describe("a flow that is pointed at a queue with a foreign consumer", function()
  after_each(kit.tidy)

  local function is_harmless(world, queue, words)
    local program, pour = shop(world, queue)
    local orders = pour()
    world:begin()
    local complaint
    kit.wait("the mistake to be refused", 20, function()
      local _, said = world:headgate("on", "orders", "--why", "the wrong queue")
      local status = world:headgate("status", "--json")
      complaint = said .. status .. world:log()
      return complaint:find(words, 1, true), complaint
    end)
    assert.truthy(complaint:find(queue, 1, true), complaint)
    assert.equal(0, orders:ended(30))
    kit.wait("the shop to have every order", 20, function() return taken(world) == ORDERS, taken(world) end)
    local status = world:headgate("status", "--json")
    assert.truthy(not status:find '"received":[1-9]', status)
    assert.is_true(program:is_running())
  end

  it("by name, without a word why, is not even deployed", function()
    local world = kit.world()
    local queue = world.exchange .. ".shop"
    flow(world, ("{queue: %s}"):format(queue))
    is_harmless(world, queue, "because")
  end)

  it("because it has the name that ours would have, is refused, and says whose it is", function()
    local world = kit.world()
    flow(world, ("{exchange: %s, keys: [order.new]}"):format(world.exchange))
    is_harmless(world, world:queue "orders", "somebody else's: it was not declared by this Headgate, and 1 consumer")
    local output, _, code = world:headgate("doctor")
    assert.equal(1, code)
    assert.truthy(output:find(world:queue "orders", 1, true), output)
  end)
end)
