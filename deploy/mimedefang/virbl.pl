# Virus notes for MIMEDefang: the relay that sent a virus is listed in a DNSBL for an hour, at once.
#
# In the filter (mimedefang-filter):
#
#     require '/etc/mail/virbl.pl';
#     $VirblToken = '/etc/mail/virbl.token';          # readable by MIMEDefang's user only
#
#     sub filter_begin {
#         my ($entity) = @_;
#         my ($code, $category, $action) = message_contains_virus();
#         if ($category eq 'virus') {
#             virbl_list($RelayAddr, $VirusName);
#             return action_discard();
#         }
#         return action_tempfail("virus scanner failed") if $action eq 'tempfail';
#     }
#
# Perl's own modules only. A server that does not answer costs two seconds and a line in the log, and no mail.

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP ();

our $VirblUrl   = 'http://127.0.0.1:9153';
our $VirblZone  = 'virbl.example.org';
our $VirblToken = '/etc/mail/virbl.token';
our $VirblTime  = '1h';

my %virbl_never = map { $_ => 1 } ('127.0.0.1', '::1');

# Lists an address, and returns until when; undef if that failed, which the log tells.
sub virbl_list {
    my ($address, $virus) = @_;
    return undef if !defined $address || $virbl_never{$address};
    my $token;
    if (open my $file, '<', $VirblToken) {
        $token = <$file>;
        close $file;
    }
    return virbl_failed($address, "no token in $VirblToken") if !defined $token;
    chomp $token;
    $virus = 'a virus' if !defined $virus || $virus eq '';
    my $body = JSON::PP::encode_json({ 'for' => $VirblTime, reason => $virus });
    my $reply = HTTP::Tiny->new(timeout => 2)->request(
        'PUT',
        "$VirblUrl/v1/zones/$VirblZone/listings/$address",
        { headers => { Authorization => "Bearer $token", 'Content-Type' => 'application/json' }, content => $body },
    );
    my $said = eval { JSON::PP::decode_json($reply->{content}) } || {};
    return virbl_failed($address, $said->{detail} || "$reply->{status} $reply->{content}") if !$reply->{success};
    virbl_log('info', "$address is listed in $VirblZone until $said->{until}: $virus");
    return $said->{until};
}

sub virbl_failed {
    my ($address, $why) = @_;
    virbl_log('warning', "$address is not listed in $VirblZone: $why");
    return undef;
}

# MIMEDefang's log, or standard error where there is none.
sub virbl_log {
    my ($level, $words) = @_;
    if (defined &main::md_syslog) { main::md_syslog($level, $words) }
    else                          { print STDERR "$level: $words\n" }
}

1;
