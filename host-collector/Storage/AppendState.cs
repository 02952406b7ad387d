namespace VsockPair.Storage;

/// <summary>How storing what a guest has sent ended.</summary>
internal enum AppendState
{
    /// <summary>All whole records are stored.</summary>
    Stored,

    /// <summary>The stream cannot be followed further.</summary>
    Malformed,

    /// <summary>The disk takes no more, of nobody; what was not consumed can be given again later.</summary>
    DiskFull,

    /// <summary>This guest, or this stream alone, has to wait: for its closed segments, for its budget, or after an error. What was not consumed can be given again later.</summary>
    Behind,
}
