using VsockPair.Storage;

namespace VsockPair.Listening;

/// <summary>Who is at the other end, by what the host knows: never by what the peer says.</summary>
/// <param name="IdentifiedBy">As in <see cref="GuestRecord.IdentifiedBy"/>.</param>
internal sealed record GuestIdentity(string Name, string IdentifiedBy, uint? Cid = null, string? Socket = null);
