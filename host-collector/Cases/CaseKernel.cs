namespace VsockPair.Cases;

/// <summary>Which kernel a case is about.</summary>
/// <param name="Release"><c>uname -r</c>, as the guest claims it.</param>
internal sealed record CaseKernel(string? BuildId, string? Release)
{
    /// <summary>A manifest is not believed that its build-id is one.</summary>
    public static CaseKernel Of(CaseManifest? manifest) => new(BuildIdNote.IsBuildId(manifest?.BuildId) ? manifest!.BuildId : null, manifest?.Kernel);
}
