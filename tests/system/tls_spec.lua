--- Encrypted connections: certificates are verified, always.
local anomaly = require "anomaly"
local kit = require "kit"

describe("amqps", function()
  after_each(kit.tidy)

  it("delivers events where the broker's certificate is signed by the CA that the connection names", function()
    local world = kit.world { own_broker = true, tls = true }
    world:story()
    world.config.connections.broker = {
      adapter = "amqp", url = ("amqps://guest:guest@localhost:%s/"):format(world.broker.tls_port),
      ca = world.broker.folder .. "/tls/ca.pem",
    }
    world:start()
    world:open("alert-operators", "mail-contacts")
    world:publish { anomaly.new { controller_id = "CTRL-1" } }
    world:counts("alert-operators", { finished = 1 })
    assert.truthy(world:headgate("doctor"):find("TLS", 1, true))
  end)

  it("refuses a broker whose certificate nobody vouches for, says so, and takes nothing from it", function()
    local world = kit.world { own_broker = true, tls = true }
    world:story()
    world.config.connections.broker = {
      adapter = "amqp", url = ("amqps://guest:geheim@localhost:%s/"):format(world.broker.tls_port),
    }
    world:start()
    world:must("on", "alert-operators", "--why", "test")
    world:says "certificate"
    assert.is_false(world:flow_status("alert-operators").is_listening)
    assert.is_nil(world:log():find("geheim", 1, true))
  end)
end)
