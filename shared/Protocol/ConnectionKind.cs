namespace VsockPair.Protocol;

/// <summary>What a connection carries, as its Hello says.</summary>
public enum ConnectionKind : uint
{
    Control = 0,
    Kmsg = 1,
    Bulk = 2,
    Probe = 3,
}
