-- Refused mail says why: the reply to the client gets the text of the listing, which rspamd by itself does not ask for. Append to
-- /etc/rspamd/local.d/rspamd.lua and change the zone names.
local function reversed_address(task)
  local octets = task:get_from_ip():inversed_str_octets()
  return table.concat(octets, '.')
end

local function sender_domain(task)
  return task:get_from('smtp')[1].domain
end

local lists = {
  { symbols = { 'RBL_VIRBL', 'RBL_VIRBL_ONLY' }, zone = 'virbl.tee.gr', name = reversed_address },
  { symbols = { 'RBL_BOGUSMX' }, zone = 'bogusmx.rfc-ignorant.org', name = sender_domain },
}

local function has_one(task, symbols)
  for _, symbol in ipairs(symbols) do
    if task:has_symbol(symbol) then return true end
  end
  return false
end

rspamd_config:register_symbol({
  name = 'LIST_TEXT',
  type = 'postfilter',
  callback = function(task)
    if task:get_metric_action() ~= 'reject' then return end
    for _, list in ipairs(lists) do
      if has_one(task, list.symbols) then
        local function refuse(_, _, texts)
          local text = texts and table.concat(texts, ' ') or 'listed by ' .. list.zone
          task:set_pre_result({ action = 'reject', message = text, module = 'LIST_TEXT' })
        end
        task:get_resolver():resolve_txt({ task = task, name = list.name(task) .. '.' .. list.zone, callback = refuse, forced = true })
        return
      end
    end
  end,
})
