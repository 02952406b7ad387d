namespace VsockPair.Protocol;

/// <summary>How one check of a guest came out.</summary>
public enum CheckState : uint
{
    /// <summary>Something is missing, and less of a crash would be caught.</summary>
    Missing = 0,

    Ok = 1,

    /// <summary>Worth knowing, but this guest cannot have it, or need not.</summary>
    NotCounted = 2,
}

/// <summary>One check of a guest: whether something that a crash would need is there.</summary>
/// <param name="check">Its name, e.g. <c>pvpanic</c>.</param>
/// <param name="text">What was found.</param>
/// <param name="fix">The command or setting that mends it; empty when nothing is to be mended.</param>
public sealed class ReadinessCheck(string check, CheckState state, string text, string fix)
{
    public string Check { get; } = check;

    public CheckState State { get; } = state;

    public string Text { get; } = text;

    public string Fix { get; } = fix;
}

/// <summary>Agent → collector: whether a crash of this guest would be caught, as far as that can be seen in it. After each Welcome on control, and when it changes.</summary>
/// <param name="Checks">At most <see cref="Wire.MaxReadinessChecks"/>. Any names: a collector shows those too that it does not know.</param>
public readonly record struct Readiness(IReadOnlyList<ReadinessCheck> Checks) : IMessage<Readiness>
{
    private const int FieldsOfCheck = 4;

    public static MessageType Type => MessageType.Readiness;

    public int Fields => 1 + FieldsOfCheck * Checks.Count;

    public void Write(ref FrameWriter writer)
    {
        writer.Write((uint)Checks.Count);
        foreach (ReadinessCheck check in Checks)
        {
            writer.Write(check.Check);
            writer.Write((uint)check.State);
            writer.Write(check.Text);
            writer.Write(check.Fix);
        }
    }

    public static bool TryRead(ref FrameReader reader, out Readiness message)
    {
        List<ReadinessCheck> checks = [];
        message = new Readiness(checks);
        if (!reader.TryRead(Wire.MaxReadinessChecks, out int count))
        {
            return false;
        }
        while (checks.Count < count)
        {
            bool read = reader.TryRead(out string check) & reader.TryRead(out uint state) & reader.TryRead(out string text) & reader.TryRead(out string fix);
            if (!read)
            {
                return false;
            }
            // A state that only a newer agent knows counts neither way.
            checks.Add(new ReadinessCheck(check, (CheckState)Math.Min(state, (uint)CheckState.NotCounted), text, fix));
        }
        return true;
    }
}
