namespace VsockPair.TestKit.Vm;

/// <summary>Something that guests need is not on this machine.</summary>
public sealed class RigMissingException(string what)
    : Exception($"Test guests need {what}, which is not here. Run tests/rig/install.sh, then try again.");
