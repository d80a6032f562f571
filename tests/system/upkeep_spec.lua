--- `headgate store`: measured, verified, copied while it runs, compacted, put back.
local kit = require "kit"

describe("the store's upkeep", function()
  after_each(kit.tidy)

  --- Alerts delivered; then an alert and two mails that wait, the alert because OpsGenie is down, the mails because
  --- nobody listens where the relay should be.
  local function world_at_work()
    local world = kit.world()
    world:flow("alerting", { keys = "alert", manifest = "event: {id: body.id, key: body.id}\nuses: [alerts]",
      lua = "return { run = function(event) alerts.create { alias = event.id, message = event.id } end }" })
    world:flow("writing", { keys = "mail", manifest = "event: {id: body.id, key: body.id}\nuses: [mail]",
      lua = [[return { run = function(event)
        mail.send { to = event.id .. "@example.com", subject = event.id, text = "a word" }
      end }]] })
    world.config.connections.mail.url = "smtp://127.0.0.1:1"
    world:start()
    world:open("alerting", "writing")
    world:publish({ { id = "A-1" }, { id = "A-2" } }, "alert")
    world:lane_counts("alerts", { delivered = 2 })
    world:opsgenie_fault { status = 503, times = -1 }
    world:publish({ { id = "A-3" } }, "alert")
    world:publish({ { id = "m-1" }, { id = "m-2" } }, "mail")
    world:counts("writing", { finished = 2 })
    world:counts("alerting", { finished = 3 })
    return world
  end

  local function rows(sizes, name)
    for _, table in ipairs(sizes.tables) do
      if table.table == name then return table.rows end
    end
  end

  it("shows sizes and finds nothing wrong, with the daemon and without", function()
    local world = world_at_work()
    local function look()
      local sizes = world:ask("store", "--json")
      assert.equal(3, rows(sizes, "outbox"))
      assert.equal(2, rows(sizes, "receipts"))
      assert.equal(sizes.file_bytes, sizes.used_bytes + sizes.free_bytes)
      assert.equal(0, sizes.high_at_ms) -- too early to say
      local verified = world:ask("store", "verify", "--json")
      assert.equal(0, verified.finding_count)
      assert.is_true(verified.complete and verified.rows > 20)
      assert.matches("outbox +3 ", world:must("store"))
      assert.matches("0 findings; the books balance", world:must("store", "verify"))
    end
    look()
    local _, complaint, code = world:headgate("store", "compact")
    assert.equal(75, code)
    assert.matches("uses this data folder; stop it first", complaint)
    world:stop(30)
    look()
    assert.matches("^from .* to ", world:must("store", "compact"))
    look()
    world:start()
    world:balances()
  end)

  it("is copied while it works; never over a file, and a copy can be verified", function()
    local world = world_at_work()
    local path = world.folder .. "/backups/one.mdb"
    local _, complaint, code = world:headgate("store", "backup", path)
    assert.equal(74, code)
    assert.matches("No such file or directory", complaint)
    kit.shell("mkdir %s/backups", world.folder)
    world:must("store", "backup", path)
    _, complaint, code = world:headgate("store", "backup", path)
    assert.equal(1, code)
    assert.matches("exists; a copy never overwrites", complaint)
    assert.matches("headgate%-store%-.*%.mdb: .* in ", world:must("store", "backup", world.folder .. "/backups"))
    assert.matches("0 findings", world:must("store", "verify", path))
    local output = kit.run { "ls", world.folder .. "/backups" }
    assert.is_nil(output:find "partial")
    _, complaint, code = world:headgate("store", "verify", world.folder .. "/headgate.yaml")
    assert.equal(74, code)
    assert.matches("is no store of headgate's", complaint)
  end)

  --- The backup is made, then everything that waits is delivered, then the backup is put back.
  local function restored(...)
    local world = world_at_work()
    local path = world.folder .. "/one.mdb"
    world:must("store", "backup", path)
    local _, complaint, code = world:headgate("store", "restore", path)
    assert.equal(75, code, complaint)
    world:stop(30)
    world:opsgenie_heals()
    world.config.connections.mail.url = world.smtp
    world:start()
    world:lane_counts("mail", { delivered = 2 }, 30)
    world:lane_counts("alerts", { delivered = 3 }, 30)
    world:stop(30)
    local output = world:must("store", "restore", path, "--why", "the disk broke", ...)
    assert.matches("3 effects wait in it", output)
    world:start()
    world:balances()
    return world
  end

  it("put back from a backup holds what may have been sent and cannot be recognised", function()
    local world = restored()
    world:lane_counts("alerts", { delivered = 3, waiting = 0 }, 30) -- OpsGenie knows the alert again
    local held = world:await_held(2)
    for _, each in ipairs(held) do
      assert.equal("unknown", each.verdict)
      assert.matches("put back from a backup of 20.*what happened since then is not known", each.reason)
    end
    assert.equal(2, #world:mails())
    assert.equal(3, #world:alerts())
    assert.matches("restore.*the disk broke", world:must("audit"))
    assert.equal(0, world:ask("store", "verify", "--json").finding_count)
    world:settle()
    local output = kit.run { "sh", "-c", "ls -d " .. world.folder .. "/data/store-aside-*" }
    assert.matches("store%-aside%-20", output)
  end)

  it("put back with --resend sends all that waits again", function()
    local world = restored("--resend")
    world:lane_counts("mail", { delivered = 2, waiting = 0 }, 30)
    world:settle()
    assert.equal(4, #world:mails())
  end)
end)
