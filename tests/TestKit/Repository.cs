namespace VsockPair.TestKit;

/// <summary>Where the working tree is that the running tests were built from.</summary>
public static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "VsockPair.sln")))
            {
                return folder.FullName;
            }
        }
        throw new InvalidOperationException($"No VsockPair.sln above {AppContext.BaseDirectory}: run the tests from inside the repository.");
    }
}
