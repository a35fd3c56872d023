-- The lists are not signed, whatever the zones above them say. Append to /etc/powerdns/recursor.lua and change the zone names.
addNTA("virbl.tee.gr", "asked of dnsbld")
addNTA("grwhitelist.tee.gr", "asked of dnsbld")
addNTA("bogusmx.rfc-ignorant.org", "asked of dnsbld")
