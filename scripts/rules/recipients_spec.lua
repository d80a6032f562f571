local spec = require "headgate.spec"
local recipients = spec.rule "recipients"

local function address(email)
  return #recipients { { email = email } } == 1
end

describe("the recipients", function()
  it("are the contacts who have an address, in their order", function()
    local anna = { name = "Anna", email = "anna@example.com", language = "de" }
    local found, why = recipients { anna, { email = "desk@example.com" } }

    assert.same({ anna, { name = false, email = "desk@example.com", language = false } }, found)
    assert.equal("2 of 2 contacts", why)
  end)

  it("do not include one without an address, and the reason names nobody", function()
    local found, why = recipients { { name = "Anna", email = "anna@example.com" }, { name = "Ben", email = spec.null } }

    assert.equal(1, #found)
    assert.equal("1 of 2 contacts: contact 2 has no address", why)
  end)

  it("are written to once for each address, whatever its case", function()
    local found, why = recipients { { email = "anna@example.com" }, { email = "ANNA@example.com" } }

    assert.equal(1, #found)
    assert.equal("1 of 2 contacts: contact 2 shares the address of another", why)
  end)

  it("may have any ordinary address", function()
    assert.is_true(address "a@b.de")
    assert.is_true(address "first.last+tag@sub-domain.example.co.uk")
    assert.is_true(address "o'neil@example.com")
    assert.is_true(address "x_1@1.example")
  end)

  it("have no address that could break out of a header, or that no relay would take", function()
    for _, email in ipairs {
      "a@b.de\r\nBcc: c@d.de", "a@b.de\n", "\0a@b.de", "<a@b.de>", "a b@c.de", "a@b.de,c@d.de", "a@@b.de",
      "@b.de", "a@", "a", "", "a..b@c.de", ".a@b.de", "a.@b.de", "a@b..de", "a@.de", "a@-b.de", "a@b-.de", "jörg@b.de",
      ("x"):rep(65) .. "@b.de", "a@" .. ("x"):rep(64) .. ".de", "a@" .. ("xy."):rep(84) .. "de",
    } do
      assert.is_false(address(email), email)
    end
  end)

  it("are nobody where there are no contacts", function()
    assert.same({ {}, "0 of 0 contacts" }, { recipients(spec.list {}) })
  end)
end)
