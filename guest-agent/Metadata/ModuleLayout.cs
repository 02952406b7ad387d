namespace VsockPair.GuestAgent.Metadata;

/// <summary>
/// What of <c>/proc/modules</c> decides which symbols there are: <c>name size users dependents state address</c> without the counts of users, which
/// change all the time. The state belongs to it: a module that has been loaded gives the symbols of its initialisation back.
/// </summary>
internal static class ModuleLayout
{
    private const int State = 4;
    private const int Address = 5;

    public static byte[] Hash(ReadOnlySpan<byte> modules)
    {
        Sha256 hash = new();
        foreach (Range range in modules.Split((byte)'\n'))
        {
            ReadOnlySpan<byte> line = modules[range];
            int column = 0;
            foreach (Range field in line.Split((byte)' '))
            {
                if (column is 0 or State or Address)
                {
                    hash.Append(line[field]);
                    hash.Append(" "u8);
                }
                column++;
            }
        }
        return hash.Finish();
    }
}
