namespace VsockPair.Protocol;

/// <summary>What <see cref="Frame.TryTake"/> found at the start of the received bytes.</summary>
public enum FrameState
{
    /// <summary>More bytes must come first.</summary>
    Incomplete,

    Whole,

    /// <summary>The length is zero or above the limit: the connection cannot be followed further.</summary>
    BadLength,
}
