--- To whom of these contacts do we write?  To everybody who has an address, and to each address once.
--- Answers the list { email =, name = (false if unknown), language = }, and why it is not longer.
--- A contact who cannot be written to never costs the others their mail.  The reasons name nobody: trails are kept.

--- Neither end is a dot, and no two dots meet.
local function is_dotted(text)
  return not ("." .. text .. "."):find("..", 1, true)
end

--- What a connection of kind smtp would refuse is no address here: one refusal would fail the run, and so all mails.
local function is_address(text)
  local name, domain = text:match "^([%w!#$%%&'*+/=?^_`{|}~.-]+)@([%w.-]+)$"
  if not name or #name > 64 or #text > 254 or not is_dotted(name) or not is_dotted(domain) then return false end
  for label in domain:gmatch "[^.]+" do
    if #label > 63 or label:find "^%-" or label:find "%-$" then return false end
  end
  return true
end

local function text_or_false(value)
  return type(value) == "string" and value ~= "" and value
end

--- The recipient that a contact makes; or nil, and why it makes none.
local function recipient(contact, seen)
  if type(contact) ~= "table" then return nil, "cannot be read" end
  local email = text_or_false(contact.email)
  if not email then return nil, "has no address" end
  if not is_address(email) then return nil, "has an address that cannot be right" end
  if seen[email:lower()] then return nil, "shares the address of another" end
  seen[email:lower()] = true
  return { email = email, name = text_or_false(contact.name), language = text_or_false(contact.language) }
end

return function(contacts)
  local found, left_out, seen = {}, {}, {}
  for index, contact in ipairs(contacts) do
    local one, reason = recipient(contact, seen)
    if one then
      found[#found + 1] = one
    else
      left_out[#left_out + 1] = ("contact %d %s"):format(index, reason)
    end
  end
  local why = ("%d of %d contacts"):format(#found, #contacts)
  if #left_out > 0 then why = why .. ": " .. table.concat(left_out, ", ") end
  return found, why
end
