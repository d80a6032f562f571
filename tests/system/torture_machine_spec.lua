--- What its own machine does to a daemon under load: SIGKILL, a full disk, a store at its limit, a clock that jumps.
local kit = require "kit"
local system = require "system"
local faulty = require "faulty"
local torture = require "torture"

describe("a daemon under load", function()
  setup(torture.heading)
  after_each(kit.tidy)

  it("that is killed at random moments", function()
    local world = torture.world()
    local kills = torture.often(20, 100)
    torture.begin(world)
    world:stop()
    torture.inflict("SIGKILL at random moments", world, torture.often(2600, 14000), function()
      for _ = 1, kills do
        world:begin()
        local deadline = system.monotime() + 0.05 + math.random() * 1.2
        while system.monotime() < deadline do
          assert(world.daemon:is_running(), "the daemon ended by itself")
          local output = world:headgate("status", "--json")
          if output:sub(1, 1) == "{" then world:balances(kit.json.decode(output)) end
          torture.lasts(math.max(0, math.min(0.1, deadline - system.monotime())))
        end
        world:kill()
      end
      world:start()
      return kills
    end)
  end)

  it("that is killed at every commit boundary", function()
    local world = torture.world()
    local machine = faulty.machine(world)
    local boundaries = torture.often(8, 60)
    torture.begin(world)
    world:stop()
    torture.inflict("SIGKILL before and after each of n commits", world, torture.often(700, 7000), function(stream)
      local times = 0
      for n = 1, boundaries do
        for _, which in ipairs { "kill_before", "kill_after" } do
          machine:set { commits = 0, kill_before = 0, kill_after = 0, [which] = n }
          world:begin()
          local code = world.daemon:ended(60)
          assert(code == 128 + 9, "the daemon ended with " .. code)
          times = times + 1
        end
      end
      assert(stream.publisher:is_running() or not torture.is_long, "the load ended before the kills")
      machine:set { kill_before = 0, kill_after = 0 }
      world:start()
      return times
    end)
  end)

  it("whose disk is full", function()
    local world = torture.world()
    local machine = faulty.machine(world)
    torture.begin(world)
    torture.inflict("disk full (ENOSPC), and room again", world, torture.often(700, 3000), function()
      local times = torture.often(2, 10)
      for _ = 1, times do
        torture.await_progress(world)
        machine:set { no_space = 1 }
        kit.wait("the store to be full", 20, function() return world:status().store.state == "full" end)
        machine:set { no_space = 0 }
        kit.wait("the store to be well", 20, function() return world:status().store.state == "ok" end)
      end
      return times
    end)
  end)

  it("whose store is at its limit", function()
    local world = torture.world()
    world.config.store = { limit = "8MiB" }
    world.config.connections.broker.prefetch = 50
    torture.begin(world)
    torture.inflict("store at its limit (LMDB map full)", world, torture.often(3400, 8000), function(stream)
      world:opsgenie_fault { match = { method = "POST" }, status = 503, body = "no", times = -1 }
      world:mail_fault { phase = "greeting", reply = "421 4.3.2 not now", times = -1 }
      kit.wait("the store to be at its limit", 60, function()
        assert(stream.publisher:is_running(), "all of the load is in, and the store still has room")
        return world:status().store.state ~= "ok"
      end)
      world:opsgenie_heals()
      world:mail_heals()
      return 1
    end, 500)
  end)

  it("whose clock jumps", function()
    local world = torture.world()
    local machine = faulty.machine(world)
    torture.begin(world)
    torture.inflict("clock jumps an hour, forth and back", world, torture.often(1000, 3000), function()
      local times = torture.often(1, 4)
      for _ = 1, times do
        world:opsgenie_fault { match = { method = "POST" }, status = 503, body = "no", times = 3 }
        torture.await_progress(world)
        machine:set { clock_ms = 3600000 }
        torture.await_progress(world)
        world:opsgenie_fault { match = { method = "POST" }, status = 503, body = "no", times = 3 }
        torture.await_progress(world)
        machine:set { clock_ms = 0 }
        torture.await_progress(world)
      end
      return 2 * times
    end)
  end)
end)
