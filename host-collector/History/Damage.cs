namespace VsockPair.History;

/// <summary>Places in the stored files that do not hold what was stored there, or never held what a kernel writes. Their events are missing, and their number with them.</summary>
/// <param name="File">Of the first of them.</param>
internal readonly record struct Damage(long Places, string? File)
{
    public Damage And(Damage other) => new(Places + other.Places, File ?? other.File);

    public Damage And(SegmentFile file) => And(new Damage(1, Path.GetFileName(Path.GetDirectoryName(file.FilePath)) + "/" + Path.GetFileName(file.FilePath)));
}
