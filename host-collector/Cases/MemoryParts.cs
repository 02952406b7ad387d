namespace VsockPair.Cases;

/// <summary>The memory of a case: what <c>watch</c> took.</summary>
internal static class MemoryParts
{
    /// <summary>Why there is no memory, or less than the policy asks for; null when there is not.</summary>
    public static string? Lacks(CaseEvent happened, bool hasFile) => happened.Memory switch
    {
        null => hasFile ? null : "it has not been taken yet",
        { Reason: string reason } => reason,
        { Taken: MemoryTaken.None } => $"the policy of this guest is Memory={happened.Memory.Policy}",
        _ => hasFile ? null : "it was removed",
    };
}
