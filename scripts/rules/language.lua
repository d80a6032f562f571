--- In which language do we write to somebody who wishes for `wish` ("de", "de-AT", "DA")?  The language, and why.
--- A flow that writes has its templates in each of these.
local spoken = { da = "Danish", de = "German", en = "English" }

return function(wish)
  if type(wish) ~= "string" or wish == "" then return "en", "no language is known" end
  local language = wish:lower():match "^%a+"
  if spoken[language] then return language, spoken[language] .. " is wished for" end
  return "en", "we do not write in " .. wish
end
