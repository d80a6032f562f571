--- What an earlier version left behind is taken over: upgraded, the books balanced, what waited delivered.
local kit = require "kit"

describe("the stored data of the version with schema 1", function()
  after_each(kit.tidy)

  --- The world in which tests/data/store-1.mdb.gz was made, with the data of then.
  local function old_world()
    local world = kit.world()
    world.environment, world.exchange = "oldstore", "x.oldstore"
    world.config.environment = world.environment
    world.broker:exchange(world.exchange)
    kit.shell("mkdir -p %s/data/store", world.folder)
    kit.shell("gzip -dc tests/data/store-1.mdb.gz > %s/data/store/data.mdb", world.folder)
    return world
  end

  it("is upgraded, goes on with its flows and gates, and delivers what waited", function()
    local world = old_world()
    world:start()
    world:says "upgraded from schema 1 to 2"
    world:balances()
    world:lane_counts("alerts", { asked = 9, delivered = 8, held = 1, waiting = 0 })
    world:counts("looking", { received = 2, finished = 2 })
    world:lane_counts("mail", { asked = 3, delivered = 2, held = 1 })
    local verdicts = {}
    for _, held in ipairs(world:await_held(3)) do verdicts[held.held] = held.verdict or held.kind end
    assert.same({ "never", "unknown", "event" }, verdicts)
    world:settle()
    assert.equal(5, #world:alerts())

    world:publish({ { id = "A-99", key = "a" } }, "alert")
    world:counts("alerting", { received = 9, finished = 8 })
    world:must("held", "retry", "1")
    world:lane_counts("alerts", { asked = 10, delivered = 10, held = 0 })
    world:must("held", "discard", "2", "--why", "the mail is there")
    world:settle()
    world:stop(30)
    world:start() -- of schema 2 now
    world:balances()
    assert.is_nil(world:log():match "upgraded from schema.*upgraded from schema")
  end)
end)
