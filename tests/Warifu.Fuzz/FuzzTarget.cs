using System;

namespace Warifu.Fuzz;

/// <summary>Something that takes bad input. A case is made of its seed alone, so that a failure is repeated by its seed.</summary>
internal abstract class FuzzTarget : IDisposable
{
    public abstract string Name { get; }

    public abstract string What { get; }

    /// <summary>Tries one case; throws when something is wrong.</summary>
    public abstract void Try(ulong seed);

    public virtual void Dispose()
    {
    }

    /// <summary>An invariant of the code under test.</summary>
    protected static void Must(bool holds, string what)
    {
        if (!holds) throw new InvariantException(what);
    }
}

/// <summary>The code under test gave no exception, but did what it must not.</summary>
internal sealed class InvariantException(string what) : Exception(what);
