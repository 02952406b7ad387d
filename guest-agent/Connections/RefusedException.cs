using VsockPair.Protocol;

namespace VsockPair.GuestAgent.Connections;

/// <summary>The collector answered a Hello with a Refusal.</summary>
internal sealed class RefusedException(Refusal refusal) : IOException($"the collector refused: {refusal.Text} (reason {(uint)refusal.Reason})")
{
    public RefusalReason Reason { get; } = refusal.Reason;
}
