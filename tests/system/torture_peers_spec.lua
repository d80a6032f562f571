--- What the far sides do to a daemon under load: a broker that dies, freezes, cuts, is short of memory; a relay that
--- dies in each phase; an OpsGenie that answers late, not at all, or wrongly.
local kit = require "kit"
local torture = require "torture"

describe("a daemon under load", function()
  setup(torture.heading)
  after_each(kit.tidy)

  it("whose broker is killed and started again", function()
    local world = torture.world { own_broker = true }
    torture.begin(world)
    -- What the dead broker had not confirmed, the publisher sends again: for us that is the same event once more.
    torture.inflict("broker killed and started again", world, torture.often(300, 300), function(stream)
      assert(stream.publisher:ended(60) == 0)
      local times = torture.often(1, 5)
      for _ = 1, times do
        world.broker:kill()
        kit.wait("the daemon to notice", 20, function()
          return not world:flow_status("alert-operators").is_listening
        end)
        world.broker:restart()
        kit.wait("the daemon to listen again", 40, function()
          return world:flow_status("alert-operators").is_listening
        end)
      end
      return times
    end)
  end)

  it("whose connections are cut", function()
    local world = torture.world { own_broker = true }
    torture.begin(world)
    torture.inflict("connections to the broker cut", world, torture.often(1300, 4000), function()
      local times = torture.often(2, 10)
      for _ = 1, times do
        torture.await_progress(world)
        -- Of our daemon only: the publisher is not what is tested.
        world.broker:cut "Headgate"
      end
      return times
    end)
  end)

  it("whose broker freezes", function()
    local world = torture.world { own_broker = true }
    torture.begin(world)
    torture.inflict("broker frozen (SIGSTOP) and thawed", world, torture.often(1300, 6000), function()
      local times = torture.often(1, 5)
      for i = 1, times do
        torture.await_progress(world)
        world.broker:freeze()
        torture.lasts(torture.is_long and i or 1.5)
        world.broker:thaw()
        torture.await_progress(world)
      end
      return times
    end)
  end)

  it("whose broker raises its memory alarm", function()
    local world = torture.world { own_broker = true }
    torture.begin(world)
    torture.inflict("memory alarm at the broker", world, torture.often(1500, 6000), function()
      local times = torture.often(1, 5)
      for _ = 1, times do
        torture.await_progress(world)
        world.broker:ctl("set_vm_memory_high_watermark", "absolute", "1000")
        torture.lasts(0.5)
        world.broker:ctl("set_vm_memory_high_watermark", "0.8")
        torture.await_progress(world)
      end
      return times
    end)
  end)

  it("whose relay dies in each phase", function()
    local world = torture.world()
    world.config.connections.mail.answer_timeout = "2s"
    torture.begin(world)
    torture.inflict("relay dies, before and after, in each phase", world, torture.often(700, 3000), function()
      local times = 0
      for _, phase in ipairs { "greeting", "ehlo", "mail", "rcpt", "data", "body", "dot" } do
        for _, cut in ipairs { "before", "after" } do
          world:mail_fault { phase = phase, cut = cut } -- once: of more, the breaker rests for minutes between probes
          times = times + 1
        end
      end
      world:mail_fault { phase = "dot", hang = true, times = 1 }
      return times + 1
    end)
  end)

  it("whose OpsGenie answers late, not at all, or wrongly", function()
    local world = torture.world()
    torture.begin(world)
    torture.inflict("OpsGenie late, silent, or 500 after accepting", world, torture.often(700, 3000), function()
      local rounds, many = torture.often(1, 6), 5   -- more at once, and the breaker rests for minutes between probes
      for _ = 1, rounds do
        for _, fault in ipairs {
          { delay_ms = 700 }, { cut = "after" }, { cut = "before" }, { status = 500, body = "<html>no</html>" },
          { status = 500, accept = true, body = "<html>no</html>" },
        } do
          fault.match, fault.times = { method = "POST" }, many
          world:opsgenie_fault(fault)
        end
        kit.wait("the faults to be used up", 90, function() return #world:opsgenie_faults() == 0 end)
      end
      return rounds * 5 * many
    end)
  end)
end)
