namespace VsockPair.GuestAgent.Tracing;

internal static class PersistentRing
{
    public const string Name = "boot_map";
}
