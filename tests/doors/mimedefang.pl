# What MIMEDefang is to a filter, as far as the virus notes need it: a relay's address, a scanner, a log, what to do with the
# message. Usage: perl mimedefang.pl FRAGMENT URL ZONE MESSAGE RELAY, in a folder with own.ndb, token and the message.
use strict;
use warnings;

my ($fragment, $url, $zone, $message, $relay) = @ARGV;
our ($RelayAddr, $VirusName) = ($relay, '');
our ($VirblUrl, $VirblZone, $VirblToken);

require $fragment;
($VirblUrl, $VirblZone, $VirblToken) = ($url, $zone, 'token');

sub md_syslog { print "$_[0]: $_[1]\n" }

sub message_contains_virus {
    my $said = `clamscan -d own.ndb --no-summary --stdout $message 2>&1`;
    my $code = $? >> 8;
    if ($code == 1 && $said =~ /: (\S+) FOUND/) {
        $VirusName = $1;
        return (1, 'virus', 'quarantine');
    }
    return (0, 'ok', 'ok') if $code == 0;
    print $said;
    return (999, 'swerr', 'tempfail');
}

# The lines that the fragment recommends.
sub filter_begin {
    my ($code, $category, $action) = message_contains_virus();
    if ($category eq 'virus') {
        virbl_list($RelayAddr, $VirusName);
        return 'DISCARDED';
    }
    return 'DEFERRED' if $action eq 'tempfail';
    return 'ACCEPTED';
}

print filter_begin(), "\n";
