local spec = require "headgate.spec"
local monitored = spec.rule "monitored"

local function ask(monitoring)
  return { monitored({ monitoring = monitoring }, "2026-11-22") }
end

describe("whether a site is monitored", function()
  it("is what the customer bought", function()
    assert.same({ true, "monitoring was bought" }, ask { bought = true })
    assert.same({ false, "monitoring was not bought" }, ask { bought = false })
  end)

  it("ends with the last day that was paid for", function()
    assert.is_true(ask({ bought = true, through = "2026-11-22" })[1])
    assert.same({ false, "monitoring ended on 2026-11-21" }, ask { bought = true, through = "2026-11-21" })
  end)

  it("has no end where none is stated", function()
    assert.is_true(ask({ bought = true, through = spec.null })[1])
  end)

  it("is bought only where it says so plainly", function()
    assert.is_false(ask()[1])
    assert.is_false(ask(spec.null)[1])
    assert.is_false(ask({ bought = "yes" })[1])
  end)
end)
