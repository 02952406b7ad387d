namespace VsockPair.Storage;

/// <summary>One process of a kind works on a store at a time. Ends with the process, however that dies.</summary>
internal static class StoreLock
{
    public const UnixFileMode FolderMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;

    /// <param name="who">Of whom there may be one, as a message names it.</param>
    /// <exception cref="IOException">It cannot be written, or another one has it.</exception>
    public static FileStream Take(string store, string file, string who)
    {
        try
        {
            // FileShare.None is flock(LOCK_EX | LOCK_NB).
            return new FileStream(Path.Combine(store, file), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{store}: another {who} works on this store, or it cannot be locked ({e.Message}). Stop that one, or give another --store.", e);
        }
    }
}
